"""`bigbench:FOLDER` or `bigbench:task.json`: JSON tasks in BIG-bench's format (Srivastava et al., arXiv 2206.04615).

Prompts are built from the task's own prefixes and defaults as BIG-bench builds them, with three differences.
White space at the end of the output prefix goes to the answer (tokenizers expect ` 42`; the text is the same).
Choices stand in an order fixed by the example rather than drawn each time. Generation stops before `stop_string`
(BIG-bench cuts after it). Of the metrics, multiple choice, exact match and log-likelihood are computed; others
are named in the provenance. Partial `target_scores` count as right only for the best choice. The canary string
never reaches a prompt.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.hashing import canonical
from saltus.records import Item, Settings
from saltus.tasks import options
from saltus.tasks.rendering import Style
from saltus.tasks.rows import KINDS
from saltus.tasks.text import FORMATS, Kind, TextTask

OPTIONS = ("kind", "max_tokens", "skill", "name")
COMPUTED = {"multiple_choice_grade", "exact_str_match", "log_likelihood"}
_REGEX = r"[^\.\?\!\;\n]+"
"""What BIG-bench takes of an output where a task has neither `output_regex` nor `stop_string`."""


def make(source: str | None = None, base: Path | None = None, **given: Any) -> TextTask:
    """`bigbench:FOLDER`, options kind, max_tokens, skill, name."""
    if not source:
        raise UserError("`bigbench` names no task", wanted="`bigbench:path/to/task.json` or its folder")
    part = f"bigbench:{source}"
    options.refuse_unknown(part, given, OPTIONS)
    path = _task_file((base or Path()) / source)
    content = path.read_bytes()
    data = _parsed(content, path)
    examples = _examples(data, path)
    kind = _kind(data, examples, given.get("kind"), part)
    stop, regex = data.get("stop_string"), data.get("output_regex")
    if stop is None and regex is None:
        regex = _REGEX
    skill, format_ = (str(given.get("skill") or data.get("name") or path.parent.name), FORMATS[kind][0])
    return TextTask(
        name=str(given.get("name") or part),
        kind=kind,
        format=format_,
        skill=skill,
        source=_items(examples, kind, path),
        style=_style(data),
        listed=bool(data.get("append_choices_to_input", True)),
        settings=Settings(
            max_tokens=options.whole(part, "max_tokens", given.get("max_tokens", 64), 1, 1 << 20),
            stop=(str(stop),) if stop else ("\n",),
        ),
        extract=_pattern(regex, path) if regex else None,
        provenance={
            "source": source,
            "sha256": "sha256:" + hashlib.sha256(content).hexdigest(),
            "n": len(examples),
            "kind": kind,
            "licence": "Apache-2.0 (BIG-bench)",
            "canary": data.get("canary"),
            "metrics": data.get("metrics"),
            "keywords": data.get("keywords"),
            "metrics_not_computed": sorted(set(data.get("metrics") or ()) - COMPUTED),
        },
    )


def _task_file(path: Path) -> Path:
    if path.is_dir():
        inner = sorted(p.parent.name for p in path.glob("*/task.json"))
        if not (path / "task.json").is_file() and inner:
            raise UserError(
                f"`{path}` holds {len(inner)} subtasks and no task of its own",
                wanted="one task",
                do=f"name one: {', '.join(inner[:8])}",
            )
        path = path / "task.json"
    if not path.is_file():
        raise UserError(
            f"there is no file `{path}`",
            wanted="a BIG-bench `task.json`, or its folder",
            do="check the path; it starts from the study's folder",
        )
    return path


def _parsed(content: bytes, path: Path) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"malformed JSON: {error}", where=str(path)) from error
    if not isinstance(data, dict) or not isinstance(data.get("examples"), list) or not data["examples"]:
        raise UserError(
            "no list `examples`",
            where=str(path),
            wanted="a BIG-bench JSON task",
            do="for items of your own use `jsonl:FILE`",
        )
    return data


def _examples(data: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The examples, each checked and once."""
    kept: dict[bytes, dict[str, Any]] = {}
    for i, example in enumerate(data["examples"]):
        where = f"{path.name}: examples[{i}]"
        if not isinstance(example, dict) or not isinstance(example.get("input"), str):
            raise UserError("no text `input`", where=where)
        scores, target = example.get("target_scores"), example.get("target")
        if scores is None and target in (None, "", []):
            raise UserError("no gold answer", where=where, wanted="`target` or `target_scores`")
        if scores is not None and not _good_scores(scores):
            raise UserError(
                f"`target_scores` is {scores!r}",
                where=where,
                wanted="two choices or more, each with a number, one above the rest",
            )
        kept.setdefault(canonical(example), example)
    return list(kept.values())


def _good_scores(scores: Any) -> bool:
    return (
        isinstance(scores, dict)
        and len(scores) >= 2
        and all(scores)
        and all(isinstance(s, int | float) for s in scores.values())
        and min(scores.values()) < max(scores.values())
    )


def _kind(data: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], stated: Any, part: str) -> Kind:
    """Multiple choice where all examples have choices and nobody asked otherwise, else generation."""
    have: dict[Kind, bool] = {
        "multiple_choice": all(e.get("target_scores") for e in examples),
        "generate": all(e.get("target") for e in examples),
    }
    have["loglikelihood"] = have["generate"]
    if stated is not None:
        options.one_of(part, "kind", stated, KINDS)
    metrics = set(data.get("metrics") or ())
    likelihood_only = "log_likelihood" in metrics and "exact_str_match" not in metrics
    preferred: tuple[Kind, ...] = (
        ("multiple_choice", "loglikelihood") if likelihood_only else ("multiple_choice", "generate")
    )
    for kind in preferred if stated is None else KINDS:
        if have[kind] and stated in (None, kind):
            return kind
    raise UserError(
        f"not every example can be asked as {stated or 'multiple choice or generation'}",
        where=part,
        wanted="`target_scores` in all examples, or `target` in all",
    )


def _items(examples: Sequence[Mapping[str, Any]], kind: Kind, path: Path) -> list[Item]:
    items = []
    for example in examples:
        digest = hashlib.sha256(canonical(example)).hexdigest()
        choices: tuple[str, ...] = ()
        gold: tuple[int, ...] = ()
        target: tuple[str, ...]
        if kind == "multiple_choice":
            scores = example["target_scores"]
            choices = tuple(sorted(scores, key=lambda c: hashlib.sha256((digest + c).encode()).digest()))
            gold = tuple(i for i, c in enumerate(choices) if scores[c] == max(scores.values()))
            target = tuple(choices[g] for g in gold)
        else:
            stated_target = example["target"]
            target = tuple(map(str, stated_target)) if isinstance(stated_target, list) else (str(stated_target),)
        items.append(
            Item(
                id=f"ex-{digest[:12]}",
                question=example["input"],
                choices=choices,
                gold=gold,
                target=target[0] if len(target) == 1 else target,
                source=path.name,
                meta={k: v for k, v in example.items() if k in ("comment", "target_scores")},
            )
        )
    return items


def _style(data: Mapping[str, Any]) -> Style:
    """BIG-bench's own prefixes and defaults; white space that ends the output prefix becomes the delimiter."""
    cue = str(data.get("example_output_prefix", "\nA: "))
    cut = len(cue.rstrip(" "))
    return Style(
        header=str(data.get("task_prefix", "")),
        question=str(data.get("example_input_prefix", "\nQ: ")) + "{}",
        option=str(data.get("choice_prefix", "\n  choice: ")) + "{choice}",
        answer=cue[:cut],
        delimiter=cue[cut:],
        separator=str(data.get("few_shot_example_separator", "\n")),
    )


def _pattern(regex: Any, path: Path) -> str:
    try:
        re.compile(str(regex))
    except re.error as error:
        raise UserError(
            f"`output_regex` is {regex!r}: {error}", where=path.name, wanted="a Python regular expression"
        ) from error
    return str(regex)
