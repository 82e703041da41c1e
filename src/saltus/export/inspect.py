"""A model's answers to a task as an Inspect log, which `inspect view` opens and Inspect's readers load.

One log per model, task and condition, `.eval` (or `.json`): a sample per item and repeat, its input exactly as it was
asked, what the model wrote, and one score named `saltus` whose value holds every metric, so that no number of ours
is recomputed by anybody's rule. Log-likelihoods stand in a sample's metadata, one per continuation. The coordinates of
the model (params, tokens, step, seed …) are in the log's metadata, where Inspect's tables make columns of them.
Limits: of conversations that an Inspect task led itself the model's side alone is stored; an item that a condition
refused is left out and counted.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from saltus.errors import MissingExtra, UserError
from saltus.export.every_eval_ever_write import Written
from saltus.hashing import content_hash
from saltus.page.text import without_home
from saltus.records import Answer, Item, Request
from saltus.runner.open import load_with_store
from saltus.runner.questions import requests_after
from saltus.store.rows import item_from_json
from saltus.tasks.base import origin

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

    from saltus.runner.contract import Study
    from saltus.store import Store
    from saltus.tasks.base import Task

ENDINGS = {"inspect": "eval", "inspect-json": "json"}
SCORER = "saltus"
_GROUP = ("model_identity", "task", "condition")
_COORDS = ("series", "params", "tokens", "flops", "step", "loss", "seed", "dtype", "bos", "template", "weights_hash")
_REFUSED = "refused: "


@dataclass
class _Sources:
    """What logs are written from."""

    store: Store
    tasks: Mapping[str, Task]
    items: Mapping[str, Item]
    keys: Mapping[tuple[str, bytes], tuple[str, ...]]
    times: Mapping[tuple[str, bytes], float]
    left_out: Counter[str] = field(default_factory=Counter)


def export_inspect(document: Path, to: Path, form: str = "inspect") -> Written:
    """Writes one log per model, task and condition of a study into the folder `to`.

    Raises UserError where the study never ran or the folder cannot be written, MissingExtra without Inspect.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise MissingExtra("`--as inspect`", "inspect") from error
    study, store = load_with_store(document)
    rows = store.item_table(study).collect()
    source = _sources(study, store)
    files, samples, results = [], 0, 0
    try:
        to.mkdir(parents=True, exist_ok=True)
        for group in rows.partition_by(*_GROUP, maintain_order=True):
            log = _log(group, source, document.stem)
            if not log.samples or not log.results:
                continue
            path = to / f"{_file_name(log)}.{ENDINGS[form]}"
            write_eval_log(log, str(path), format="eval" if form == "inspect" else "json")
            files.append(path)
            samples += len(log.samples)
            results += len(log.results.scores)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(to)) from error
    return Written(files=tuple(files), results=results, samples=samples, left_out=dict(source.left_out))


def _sources(study: Study, store: Store) -> _Sources:
    asks = store.asks().select("model", "ask_id", "keys", "time").collect()
    known = store.items().select("item_hash", "item").collect()
    return _Sources(
        store,
        {task.name: task for task in study.tasks()},
        {name: item_from_json(text) for name, text in known.iter_rows()},
        {(m, a): tuple(keys or ()) for m, a, keys, _ in asks.iter_rows()},
        {(m, a): time for m, a, _, time in asks.iter_rows()},
    )


def _log(group: pl.DataFrame, source: _Sources, study: str) -> EvalLog:
    """The log of one model, task and condition."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats
    from inspect_ai.model import ModelUsage

    first = group.row(0, named=True)
    samples = list(_samples(group, source))
    times = [source.times[first["model_identity"], a] for a in group["ask_id"].unique()]
    usage = sum((u for s in samples for u in s.model_usage.values()), ModelUsage())
    name, condition = _model_name(first), first["condition"]
    metadata = {k: first[k] for k in _COORDS if first.get(k) is not None}
    metadata |= {
        "study": study,
        "task": first["task"],
        "condition": condition,
        "family": first["family"],
        "model": first["model"],
        "model_identity": first["model_identity"],
        "dataset": {k: without_home(v) for k, v in origin(source.tasks[first["task"]]).items()},
    }
    done = sum(s.error is None for s in samples)
    ids = [s.id for s in samples if s.epoch == 1]
    return EvalLog(
        status="success",
        eval=EvalSpec(
            eval_id=_id(first, 22),
            run_id=_id({**first, "condition": ""}, 22),
            task_id=_id(first["task"], 22),
            created=_time(min(times)),
            task=str(first["task"]).replace("/", "-"),
            task_version=str(first["task_version"]),
            task_args_passed={} if condition == "baseline" else {"condition": condition},
            dataset=EvalDataset(
                name=str(first["task"]), location=metadata["dataset"].get("source"), samples=len(ids), sample_ids=ids
            ),
            model=name,
            config=EvalConfig(epochs=max((s.epoch for s in samples), default=1)),
            metadata=metadata,
            packages=_packages(),
        ),
        results=EvalResults(total_samples=len(samples), completed_samples=done, scores=list(_results(samples))),
        stats=EvalStats(started_at=_time(min(times)), completed_at=_time(max(times)), model_usage={name: usage}),
        samples=samples,
    )


def _samples(group: pl.DataFrame, source: _Sources) -> Iterator[EvalSample]:
    """One per item and repeat, in their order; those that a condition or the model refused are counted instead."""
    first = group.row(0, named=True)
    model, task = first["model_identity"], source.tasks[first["task"]]
    keys = {a: source.keys[model, a] for a in group["ask_id"].unique()}
    answers = source.store.fetch(model, {k for some in keys.values() for k in some})
    for one in group.partition_by("ask_id", maintain_order=True):
        row = one.row(0, named=True)
        why = str(row["why_missing"] or "")
        if row["state"] == "refused":
            source.left_out[why.removeprefix(_REFUSED)] += 1
            continue
        item = source.items.get(row["item_hash"])
        if item is None:
            source.left_out["the item could not be made"] += 1
            continue
        given = [answers[k] for k in keys[row["ask_id"]] if k in answers]
        yield _sample(one, item, given, task)


def _sample(rows: pl.DataFrame, item: Item, given: Sequence[Answer], task: Task) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    first = rows.row(0, named=True)
    requests = _requests(task, item, given)
    written = [(_words(a), a) for a in given if a.finish not in (None, "outcome")]
    asked = _prompt(task, item, requests)
    name = _model_name(first)
    messages: list[Any] = [ChatMessageUser(content=asked, id="question")]
    messages += [
        ChatMessageAssistant(content=t, model=name, source="generate", id=f"answer-{i}")
        for i, (t, _) in enumerate(written, 1)
    ]
    usage = ModelUsage(
        input_tokens=sum(a.tokens_in for a in given),
        output_tokens=sum(a.tokens_out for a in given),
        total_tokens=sum(a.tokens_in + a.tokens_out for a in given),
    )
    failed = first["state"] != "done"
    why = str(first["why_missing"] or "").removeprefix("failed: ")
    output = ModelOutput.from_content(name, written[-1][0]) if written else ModelOutput(model=name)
    output.usage = usage
    return EvalSample(
        id=item.id,
        epoch=int(first["repeat"] or 0) + 1,
        input=asked,
        choices=list(item.choices) or None,
        target=_target(item),
        messages=messages,
        output=output,
        model_usage={name: usage},
        metadata=_metadata(item, requests, given),
        total_time=sum(a.seconds for a in given),
        uuid=_id([first["ask_id"].hex(), name], 22),
        scores=None
        if failed
        else {
            SCORER: Score(
                value=dict(rows.select("metric", "value").iter_rows()),
                answer=written[-1][0] if written else None,
                explanation=_missing(rows),
            )
        },
        error=EvalError(message=why, traceback="", traceback_ansi="") if failed else None,
    )


def _requests(task: Task, item: Item, given: Sequence[Answer]) -> Sequence[Request]:
    """What was asked, in the order of the answers; nothing for conversations that the task led itself."""
    if hasattr(task, "conduct"):
        return ()
    return requests_after(task, item, given)[0][: len(given)]


def _prompt(task: Task, item: Item, requests: Sequence[Request]) -> str:
    """The text of the first question as it was asked."""
    first = requests[0] if requests else next(task.ask(item))
    if first.messages:
        return "\n\n".join(m["content"] for m in first.messages)
    return first.prompt


def _words(answer: Answer) -> str:
    """What was written, in words: turns with tools are stored as JSON."""
    if answer.text.startswith('{"message":'):
        message = json.loads(answer.text)["message"]
        content = message["content"]
        parts = [content] if isinstance(content, str) else [c.get("text", "") for c in content]
        calls = [f"{c['function']}({json.dumps(c['arguments'])})" for c in message.get("tool_calls") or ()]
        return "\n".join([*parts, *calls]).strip()
    return answer.text


def _metadata(item: Item, requests: Sequence[Request], given: Sequence[Answer]) -> dict[str, Any]:
    """Beside the item's own: each continuation with its log-probability in nats and its number of tokens."""
    continuations = [
        {
            "continuation": r.continuation,
            "logprob": math.fsum(a.token_logprobs),
            "tokens": len(a.token_logprobs),
            "greedy": a.greedy,
        }
        for r, a in zip(requests, given, strict=False)
        if r.kind == "loglikelihood"
    ]
    facts = {
        "group": item.group,
        "difficulty": item.difficulty,
        "parent_id": item.parent_id,
        "relation": item.relation,
        "source": item.source,
        "loglikelihoods": continuations or None,
    }
    return {k: v for k, v in facts.items() if v is not None}


def _target(item: Item) -> str | list[str]:
    """Letters of the right choices where there are choices, as Inspect wants it, else the right answers."""
    if item.choices and item.gold and max(item.gold) < 26:
        letters = [chr(65 + i) for i in item.gold]
        return letters[0] if len(letters) == 1 else letters
    return item.target if isinstance(item.target, str) else list(item.target)


def _missing(rows: pl.DataFrame) -> str | None:
    """Why metrics have no value."""
    without = rows.filter(pl.col("value").is_null())
    lines = [f"{m}: {why}" for m, why in without.select("metric", "why_missing").iter_rows()]
    return "\n".join(lines) or None


def _results(samples: Sequence[EvalSample]) -> Iterator[Any]:
    """Mean over samples, of each sample's mean over its repeats, and its standard error, as Inspect takes them."""
    from inspect_ai.log import EvalMetric, EvalScore

    found: dict[str, dict[Any, list[float]]] = {}
    lost: Counter[str] = Counter()
    for sample in samples:
        values = (sample.scores or {}).get(SCORER)
        for metric, value in _values(values).items():
            of_metric = found.setdefault(metric, {})
            if value is None:
                lost[metric] += 1
            else:
                of_metric.setdefault(sample.id, []).append(value)
    for metric, of_metric in found.items():
        means = [math.fsum(v) / len(v) for v in of_metric.values()]
        if not means:
            continue
        numbers = {"mean": math.fsum(means) / len(means)}
        if len(means) > 1:
            numbers["stderr"] = statistics.stdev(means) / math.sqrt(len(means))
        yield EvalScore(
            name=metric,
            scorer=SCORER,
            scored_samples=sum(map(len, of_metric.values())),
            unscored_samples=lost[metric],
            metrics={name: EvalMetric(name=name, value=value) for name, value in numbers.items()},
        )


def _values(score: Any) -> Mapping[str, float | None]:
    return score.value if score is not None else {}


def _model_name(row: Mapping[str, Any]) -> str:
    """`saltus/model@step-1000`, as Inspect names models; the coordinates are in the metadata."""
    at = [f"{k}-{row[k]:g}" for k in ("step", "tokens") if row.get(k) is not None][:1]
    seed = [f"seed-{row['seed']}"] if row.get("seed") is not None else []
    return f"saltus/{row['model']}" + "".join(f"@{part}" for part in (*at, *seed))


def _file_name(log: EvalLog) -> str:
    """Time, task and model, as Inspect names logs; the id keeps two apart."""
    created = log.eval.created[:19].replace(":", "-")
    words = re.sub(r"[^A-Za-z0-9.=-]+", "-", f"{log.eval.task}-{log.eval.model.removeprefix('saltus/')}")
    return f"{created}_{words[:120]}_{log.eval.eval_id}"


def _id(of: Any, length: int) -> str:
    """An id that the same answers give again, so that exporting twice overwrites."""
    if isinstance(of, Mapping):
        of = [of[name] for name in _GROUP]
    return content_hash(of)[7 : 7 + length]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _packages() -> dict[str, str]:
    from importlib.metadata import version

    return {"saltus": version("saltus"), "inspect_ai": version("inspect_ai")}
