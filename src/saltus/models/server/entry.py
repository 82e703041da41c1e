"""What a study says of a server: `openai:URL#name` and the options beside it, checked before anything is asked.

The name may have holes, `openai:http://host:8000/v1#run-step-{step}`: every model that the server lists under a
matching name. The address may have them too where the entry lists the values (`step: [1000, 2000]`), for servers with
one checkpoint each. Without a name the one model that the server lists is meant. Only where something must be looked up
is the server asked here.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from saltus.errors import UserError, nearest
from saltus.models.base import ModelError
from saltus.models.checkpoints import patterns
from saltus.models.checkpoints.weights import tokenizer_files
from saltus.models.inspect.prices import price
from saltus.models.server.client import Client, Key, Limits
from saltus.models.server.failures import ServerError
from saltus.records import ModelRef, SeriesEntry

KEY_ENV = "OPENAI_API_KEY"
NUMBERS: dict[str, tuple[type, float]] = {
    "concurrency": (int, 1),
    "requests_per_minute": (float, 1e-3),
    "timeout": (float, 1e-3),
    "retries": (int, 0),
    "backoff": (float, 0.0),
    "tolerance": (float, 0.0),
}
"""Options that are numbers: whole or not, and the smallest that makes sense."""
WORDS = {"score": ("auto", "prompt_logprobs", "echo", "none"), "fingerprint": ("strict", "any")}
"""Options with a choice of words; the first is the default."""
TEXTS = ("tokenizer", "key_env", "key_header")
OPTIONS = (*NUMBERS, *WORDS, *TEXTS, "price")
_SECRET = re.compile(r"(?i).*(key|token|secret|password|sig|code)$")


def refs(entry: SeriesEntry, base: Path) -> list[ModelRef]:
    """Every model that an entry names, sorted along the series. Raises UserError."""
    url_pattern, _, name_pattern = entry.source.partition("#")
    where = f"openai:{_shown(entry.source)}"
    _check_url(url_pattern, where)
    names = patterns.names_in(entry.source, where)
    patterns.check_options(entry.options, names, OPTIONS, where)
    options = _options(entry, base, where)
    found = []
    for url, of_url in _addresses(url_pattern, entry, where):
        wanted = patterns.fill(name_pattern, of_url)
        for name in _names(url, wanted, options, where):
            captured = {**of_url, **(patterns.match(wanted, name) or {})}
            if patterns.chosen(captured, entry.options):
                found.append(_ref(entry, url, name, captured, options))
    if not found:
        raise UserError(
            f"no model at {url_pattern} matches `{name_pattern}`", where=where, do="fix the name or the list of values"
        )
    per_step = entry.tokens_per_step
    return patterns.in_order([patterns.complete(r, tokens_per_step=per_step) for r in found])


def limits(options: Mapping[str, Any]) -> Limits:
    """How hard the server may be asked."""
    known = Limits.__dataclass_fields__
    return Limits(**{name: value for name, value in options.items() if name in known})


def key(options: Mapping[str, Any]) -> Key | None:
    """The key from the environment; None where the default variable is not set. Raises ModelError."""
    named = options.get("key_env")
    secret = os.environ.get(str(named or KEY_ENV), "").strip()
    if not secret:
        if named:
            raise ModelError(f"the environment variable {named} (`key_env`) is not set; set it to the server's key")
        return None
    return Key(secret=secret, header=str(options.get("key_header") or "Authorization"))


def _check_url(url: str, where: str) -> None:
    wanted = "openai:http://host:port/v1#name, or https"
    if "@" in urlsplit(url).netloc:
        raise UserError(
            "the address carries a user or password, which would be stored with the study",
            where=where,
            wanted=wanted,
            do="take it out; a key comes from the environment variable that `key_env` names",
        )
    for name, _ in parse_qsl(urlsplit(url).query):
        if _SECRET.match(name):
            raise UserError(
                f"the address carries `{name}=…`, which looks like a secret and would be stored with the study",
                where=where,
                wanted=wanted,
                do="take it out; `key_env` names the environment variable and `key_header` the header it goes into",
            )
    try:
        host, port = urlsplit(url).hostname, urlsplit(re.sub(r"\{\w+\}", "1", url)).port
    except ValueError:
        host, port = None, None
    if urlsplit(url).scheme not in ("http", "https") or not host or port == 0:
        raise UserError(f"`{_shown(url)}` is no address of a server", where=where, wanted=wanted)


def _shown(source: str) -> str:
    """The source without what may be secret in it."""
    source = re.sub(r"(?<=://)[^/@\s]+@", "", source)
    return re.sub(r"\?[^#]*", "?…", source)


def _options(entry: SeriesEntry, base: Path, where: str) -> dict[str, Any]:
    """The options that were given, checked; the tokenizer as a folder or a repository."""
    found: dict[str, Any] = {}
    for name, value in entry.options.items():
        if name in NUMBERS:
            kind, least = NUMBERS[name]
            fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
            if not fits or not least <= value < float("inf"):
                what = "a whole number" if kind is int else "a number"
                raise UserError(f"`{name}: {value}`", where=where, wanted=f"{what} from {least:g}")
            found[name] = value
        elif name in WORDS:
            if value not in WORDS[name]:
                raise UserError(f"`{name}: {value}`", where=where, wanted=nearest(str(value), WORDS[name]))
            found[name] = value
        elif name in TEXTS:
            if not isinstance(value, str) or not value.strip():
                raise UserError(f"`{name}: {value}`", where=where, wanted="text")
            found[name] = value
    if "key_env" in found and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", found["key_env"]):
        raise UserError(
            "`key_env` is not the name of an environment variable",
            where=where,
            wanted="a name such as OPENAI_API_KEY",
            do="export the key under a name and write that name; if the key itself stood there, consider it spent",
        )
    if "tokenizer" in found:
        found["tokenizer"] = _tokenizer(found["tokenizer"], base, where)
    if "price" in entry.options:
        found["price"] = price(entry.options["price"], where)
    return found


def _tokenizer(named: str, base: Path, where: str) -> str:
    """An absolute folder, or `hf:organisation/name[@revision]`."""
    folder = (base / Path(named).expanduser()).resolve()
    if tokenizer_files(folder):
        return str(folder)
    repository = named.removeprefix("hf:")
    if folder.is_dir() or not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", repository):
        raise UserError(
            f"no tokenizer in {folder}",
            where=f"{where}: tokenizer",
            wanted="a folder with tokenizer.json, or a repository of the hub (organisation/name)",
        )
    return f"hf:{repository}"


def _addresses(pattern: str, entry: SeriesEntry, where: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(address without a final slash, what its holes stand for)."""
    names = patterns.names_in(pattern)
    if "*" in pattern or not all(isinstance(entry.options.get(n), list) for n in names):
        raise UserError(
            "an address with a hole that no list fills",
            where=where,
            wanted="for every {name} in the address a list of values in the entry, e.g. `step: [1000, 2000]`",
        )
    for values in itertools.product(*(entry.options[name] for name in names)):
        captured = {name: str(value) for name, value in zip(names, values, strict=True)}
        base, question, query = patterns.fill(pattern, captured).partition("?")
        yield base.rstrip("/") + question + query, captured


def _names(url: str, wanted: str, options: Mapping[str, Any], where: str) -> Sequence[str]:
    """The models meant at an address."""
    if wanted and not patterns.has_holes(wanted):
        return [wanted]
    try:
        listed = _listed(url, options)
    except ModelError as error:
        raise UserError(
            f"the server's models cannot be listed: {error}",
            where=where,
            do="start the server, or state the name after `#`",
        ) from error
    if wanted:
        return [name for name in listed if patterns.match(wanted, name) is not None]
    if len(listed) != 1:
        raise UserError(
            f"the server has {len(listed)} models and none is named",
            where=where,
            wanted=f"{_shown(url)}#name with " + (nearest("", listed) if listed else "the name it knows"),
        )
    return listed


def _listed(url: str, options: Mapping[str, Any]) -> list[str]:
    """GET /models. Raises ModelError."""
    client = Client(url, limits({**options, "retries": 1}), key(options))
    try:
        data = client.get("models").get("data")
    except ServerError as error:
        raise ModelError(str(error)) from error
    finally:
        client.close()
    rows = data if isinstance(data, list) else []
    return sorted(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id"))


def _ref(entry: SeriesEntry, url: str, name: str, captured: Mapping[str, str], options: Mapping[str, Any]) -> ModelRef:
    series = entry.series or patterns.label(entry.source.partition("#")[2]) or name
    apart = [v for k, v in captured.items() if k not in ("seed", *patterns.NUMERIC) or k == "params"]
    coords: dict[str, float | str] = {"model": "-".join((series, *apart)) if captured else name}
    coords |= {k: patterns.value(k, text) for k, text in captured.items()}
    coords |= entry.coords
    date = coords.get("date")
    return ModelRef(
        adapter="openai",
        location=f"{url}#{name}",
        revision=None if date is None else str(date),
        series=series,
        coords=coords,
        recipe={"endpoint": dict(options)} if options else {},
    )
