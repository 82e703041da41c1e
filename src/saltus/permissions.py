"""Permission to run what is read: the user's, never a document's.

A study, a results folder or a checkpoint may hold programs: Python files, a repository's own model code, pickles. Each
runs only where the user allowed it: with `--allow KIND:PATH` (or `SALTUS_ALLOW`, entries parted by semicolons), or in
`~/.config/saltus/trust.toml`, which names kind, path and SHA-256, so that a changed file asks again. A path that is a
folder stands for everything in it. On a terminal an ungranted request is asked once, with path and hash; elsewhere it
is refused with the option to paste. Code of installed packages needs no permission: installing them was one.
"""

from __future__ import annotations

import os
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from saltus.errors import UserError, nearest
from saltus.hashing import content_hash, file_hash

Kind = Literal["python", "trust-remote-code", "pickle-weights"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ABOUT: dict[Kind, str] = {
    "python": "a Python file that runs as a part of saltus",
    "trust-remote-code": "Python files beside a model or its tokenizer",
    "pickle-weights": "weights in pickle form",
}
VARIABLE = "SALTUS_ALLOW"


class NotAllowed(UserError):
    """Something would run or be unpickled, and the user has not allowed it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the user allowed. `sha256` None: whatever the files hold (given on the command line, for one call)."""

    kind: Kind
    path: Path
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What wants to run. `sha256` is over its files' names and contents."""

    kind: Kind
    path: Path
    sha256: str
    wanted_by: str
    """Who asks, in words: "the study's task `file:mine.py`"."""


_answered: dict[tuple[Kind, Path, str], bool] = {}
"""What was answered on the terminal in this process: nobody is asked twice."""


def parse(text: str) -> Grant:
    """`KIND:PATH` as on the command line. Raises UserError."""
    kind, colon, path = text.partition(":")
    if not colon or not path:
        raise UserError(f"--allow {text}", wanted="KIND:PATH, e.g. python:mine.py", do=f"kinds are {', '.join(KINDS)}")
    if kind not in KINDS:
        raise UserError(f"--allow {text}: no such kind", wanted=nearest(kind, KINDS), do="fix --allow")
    if ";" in path:
        raise UserError(f"--allow {text}: a path with `;`", wanted="a path without it, or the folder it lies in")
    return Grant(kind, _whole(Path(path)))  # type: ignore[arg-type]


def grant(texts: Sequence[str]) -> None:
    """Takes `--allow` options for this process and those that it starts. Raises UserError for a malformed one."""
    known = [f"{g.kind}:{g.path}" for g in map(parse, texts)]
    before = [t for t in os.environ.get(VARIABLE, "").split(";") if t]
    if known:
        os.environ[VARIABLE] = ";".join(dict.fromkeys((*before, *known)))


@contextmanager
def granted(*texts: str) -> Iterator[None]:
    """The same for the length of a block."""
    before = os.environ.get(VARIABLE)
    grant(texts)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def carried() -> str:
    """What workers on other machines have to be given: the value of `SALTUS_ALLOW`."""
    return os.environ.get(VARIABLE, "")


def require(kind: Kind, path: Path, files: Sequence[Path] | None = None, *, wanted_by: str) -> None:
    """Returns where the user allows it. Raises NotAllowed, which names the option to paste.

    files: what would be read or run; by default the path itself. wanted_by: see `Request`.
    """
    path = _whole(path)
    if _allowed(kind, path, files):
        return
    if not _on_a_terminal():
        raise _refusal(kind, path, wanted_by)
    request = Request(kind, path, digest(files if files is not None else [path], path), wanted_by)
    key = (kind, path, request.sha256)
    if key not in _answered:
        _answered[key] = _ask(request)
    if not _answered[key]:
        raise _refusal(kind, path, wanted_by)


def allowed(kind: Kind, path: Path, files: Sequence[Path] | None = None) -> bool:
    """Whether the user has allowed it; nobody is asked."""
    return _allowed(kind, _whole(path), files)


def _allowed(kind: Kind, path: Path, files: Sequence[Path] | None) -> bool:
    grants = list(_grants(kind, path))
    if any(g.sha256 is None for g in grants):
        return True  # hashing many gigabytes of weights to say yes would help nobody
    if not grants:
        return any(yes for (k, p, _), yes in _answered.items() if (k, p) == (kind, path))
    found = digest(files if files is not None else [path], path)
    return any(g.sha256 == found for g in grants)


def digest(files: Sequence[Path], base: Path) -> str:
    """`sha256:…` over names (relative to base) and contents; of one file that is base itself, its own hash."""
    if len(files) == 1 and files[0].resolve() == base:
        return file_hash(base)
    inside = base if base.is_dir() else base.parent
    return content_hash({os.path.relpath(f.resolve(), inside): file_hash(f) for f in files})


def trust_file() -> Path:
    """`$XDG_CONFIG_HOME/saltus/trust.toml`, else `~/.config/saltus/trust.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "saltus" / "trust.toml"


def remember(request: Request) -> None:
    """Adds a grant to the trust file; it holds until one of the files changes."""
    path = trust_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = f'[[trust]]\nkind = "{request.kind}"\npath = {_toml(str(request.path))}\nsha256 = "{request.sha256}"\n\n'
    with open(path, "a", encoding="utf-8") as file:
        file.write(entry)


def _grants(kind: Kind, path: Path) -> Iterator[Grant]:
    """Grants of the kind for the path or a folder above it, the command line's first."""
    given = [parse(text) for text in os.environ.get(VARIABLE, "").split(";") if text]
    for g in (*given, *_trusted()):
        if g.kind == kind and (g.path == path or g.path in path.parents):
            yield g


def _trusted() -> list[Grant]:
    path = trust_file()
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("trust", [])
        return [Grant(e["kind"], _whole(Path(e["path"])), str(e["sha256"])) for e in entries]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the trust file cannot be read: {error}",
            where=str(path),
            wanted="[[trust]] entries with kind, path and sha256",
            do=f"fix or remove {path}",
        ) from error


def _whole(path: Path) -> Path:
    return path.expanduser().resolve()


def _toml(text: str) -> str:
    """A basic string of TOML."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in plain) + '"'


def _on_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask(request: Request) -> bool:
    """Asks on stderr: stdout may be somebody's JSON."""
    sys.stderr.write(
        f"{request.wanted_by} wants {ABOUT[request.kind]}:\n  {request.path!s}\n  {request.sha256}\n"
        "Read it first. Allow it? [y]es, this time · [a]lways, until it changes · [N]o: "
    )
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()[:1]
    if answer == "a":
        remember(request)
    return answer in ("y", "a")


def _refusal(kind: Kind, path: Path, wanted_by: str) -> NotAllowed:
    return NotAllowed(
        f"{wanted_by} needs a permission that only you can give: {ABOUT[kind]}",
        where=str(path),
        wanted="your permission, after reading what would run",
        do=f"add {option(kind, path)}   (a folder stands for all in it)",
    )


def option(kind: Kind, path: Path) -> str:
    """What to paste."""
    return f"--allow {shlex.quote(f'{kind}:{path}')}"
