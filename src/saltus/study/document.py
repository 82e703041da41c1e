"""The one document a user writes, and what it means: models, tasks, conditions, hypotheses.

A study's id is the hash of the parsed document, so comments and layout may change and meaning may not. The models
that a pattern resolves to are no part of it: a new checkpoint that matches is asked next time.
`lock` writes the id down before the answers are known: preregistration.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from saltus import plugins
from saltus.conditions.base import varied
from saltus.documents import line_of, parse, read_text, read_yaml
from saltus.errors import UserError, nearest
from saltus.hashing import content_hash
from saltus.records import Analysis, AskPolicy, SeriesEntry, Verdict, condition_label

if TYPE_CHECKING:
    from saltus.checks.base import Check
    from saltus.conditions.base import Condition
    from saltus.tasks.base import Task

LATER = frozenset({"invariant_margin"})
"""Analysis numbers that studies locked by saltus 0.1 could not have named."""
COORDS = ("params", "tokens", "step", "flops", "loss", "seed", "date", "model", "family", "variant")
EXPECT = (*get_args(Verdict), "leap", "no-leap")

Text = Annotated[str, BeforeValidator(lambda v: v if isinstance(v, (str, dict, list)) else str(v))]
Named = Text | dict[str, Any]
"""`name`, `name:source`, or `{name: options}`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ModelsEntry(BaseModel):
    """One source of models; keys beyond these are coordinates (params, seed, …) or the adapter's options."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    source: str = Field(alias="from")
    """`scheme:source`, e.g. `dir:runs/seed{seed}/step-{step}`, `zoo:induction-2l`."""
    series: Text | None = None
    """The series' label; default: the source."""
    tokens_per_step: Annotated[float, Field(gt=0)] | None = None
    tasks: list[Text] | None = None
    """Of the study's tasks, those asked of these models; all when absent."""


class Hypothesis(_Strict):
    """What is expected, stated before looking."""

    id: Text
    task: Text
    series: Text
    axis: Literal["params", "tokens", "step", "flops", "loss", "date"]
    expect: Literal[EXPECT]  # type: ignore[valid-type]
    """A verdict, `leap` (sharp or transition), or `no-leap` (flat, smooth, artefact or irregular)."""
    condition: Text = "baseline"
    onset_at: Literal["loss-fall"] | None = None
    """`loss-fall`: besides, the onset must overlap the interval in which the training loss falls fastest."""


def _options(name: str, record: type) -> type[BaseModel]:
    """A strict document section with the fields and defaults of one of our records."""
    made = {f.name: (_resolved(record)[f.name], getattr(record(), f.name)) for f in fields(record)}
    return create_model(name, __base__=_Strict, **made)  # type: ignore[call-overload, no-any-return]


def _resolved(record: type) -> dict[str, Any]:
    import typing

    return typing.get_type_hints(record)


AskSection = _options("Ask", AskPolicy)
AnalysisSection = _options("Analysis", Analysis)


class StudyDocument(_Strict):
    """A study as written; `src/saltus/schemas/study.schema.json` is its JSON Schema."""

    study: Text
    """Its name."""
    question: Text = ""
    """What is asked, in one sentence for the report."""
    models: Annotated[list[ModelsEntry], Field(min_length=1)]
    tasks: Annotated[list[Named], Field(min_length=1)]
    conditions: list[Named] = ["baseline"]
    """`{typos: [0.02, 0.1]}`: a list is levels. Baseline is always asked."""
    cross: list[list[Text]] = []
    """`[[shots, typos]]` applies every level of one after every level of the other."""
    checks: list[Named] = []
    """Checks beside the installed ones: `file:mine.py`, or a name with its options."""
    interventions: list[Any] = Field(default=[], max_length=0)
    repeats: Annotated[int, Field(ge=1)] = 1
    """Answers per item; more than one makes sense for sampled generation."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Items per task; all when absent."""
    seed: int = 17
    ask: AskSection = AskSection()  # type: ignore[valid-type]
    analysis: AnalysisSection = AnalysisSection()  # type: ignore[valid-type]
    hypotheses: list[Hypothesis] = []
    gates: list[Any] = Field(default=[], max_length=0)


@dataclass(frozen=True)
class Study:
    """A validated document and where it stands."""

    document: StudyDocument
    base: Path
    """Folder that relative paths in the document start from."""
    name: str = "study"
    """Name for messages and for the store beside it."""
    text: str = ""
    """The document as written."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as plain data: a worker in another process reads the document again."""
        return _again, (self.data, self.base, self.name, self.text)

    @property
    def path(self) -> Path:
        """Where the document stands, or would."""
        return self.base / self.name

    @cached_property
    def data(self) -> dict[str, Any]:
        """The document as plain data, defaults filled in."""
        return self.document.model_dump(mode="json", by_alias=True)

    @cached_property
    def study_id(self) -> str:
        """Hash of what the document means: what equals a default may be left out, except the analysis
        numbers, which are hashed in full; how much is asked at once is left out. Analysis numbers that came later
        count where they differ from their default, so that studies locked before keep their id.
        """
        meaning = self.document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        changed = meaning.get("analysis", {})
        meaning["analysis"] = {k: v for k, v in self.data["analysis"].items() if k not in LATER or k in changed}
        for how_much in ("batch_tokens", "memory_mb"):
            meaning.get("ask", {}).pop(how_much, None)
        return content_hash({k: v for k, v in meaning.items() if v != {}})

    @property
    def seed(self) -> int:
        return self.document.seed

    @property
    def repeats(self) -> int:
        return self.document.repeats

    @property
    def limit(self) -> int | None:
        return self.document.limit

    @property
    def hypotheses(self) -> Sequence[Hypothesis]:
        return self.document.hypotheses

    @cached_property
    def ask(self) -> AskPolicy:
        return AskPolicy(**self.document.ask.model_dump())  # type: ignore[attr-defined]

    @cached_property
    def analysis(self) -> Analysis:
        return Analysis(**self.document.analysis.model_dump())  # type: ignore[attr-defined]

    def entries(self) -> list[SeriesEntry]:
        """One per entry of `models`."""
        return [_entry(e) for e in self.document.models]

    def tasks(self) -> list[Task]:
        """Every task of the document. Raises UserError for an unknown name or option."""
        made: list[Task] = []
        for where, name, options in _named(self.document.tasks, "tasks", self.name):
            made += tasks_named(name, options, self.base, where)
        _refuse_twins([t.name for t in made], "task", self.name)
        known = {n for t in made for n in task_names(t)}
        for i, entry in enumerate(self.document.models):
            for unknown in set(entry.tasks or ()) - known:
                raise UserError(
                    f"`{unknown}` is not among the study's tasks",
                    where=f"{self.name}: models[{i}].tasks",
                    wanted=nearest(unknown, known),
                )
        return made

    def asked(self, entry: SeriesEntry, tasks: Sequence[Task]) -> list[Task]:
        """Of the tasks, those that an entry's models are asked."""
        return [t for t in tasks if not entry.tasks or not task_names(t).isdisjoint(entry.tasks)]

    def conditions(self) -> list[tuple[Condition, ...]]:
        """Baseline first, then every level of every condition, then the crosses; each applied in order."""
        levels: dict[str, list[Condition]] = {"baseline": []}
        for where, kind, value in _named(self.document.conditions, "conditions", self.name):
            factory = plugins.load("conditions", kind, where, base=self.base)
            if isinstance(value, dict):
                made = [factory(**value)]
            else:
                chosen = value if isinstance(value, list) else [value]
                made = [factory(level=level) if level is not None else factory() for level in chosen]
            levels.setdefault(kind, []).extend(made)
        if not levels["baseline"]:
            levels["baseline"] = [plugins.load("conditions", "baseline")()]
        singles = [(c,) for of_kind in levels.values() for c in of_kind]
        varied(c for (c,) in singles)  # a plug-in's mistake is reported before anything is asked
        return singles + [c for kinds in self.document.cross for c in self._crossed(kinds, levels)]

    def _crossed(self, kinds: list[str], levels: dict[str, list[Condition]]) -> Iterator[tuple[Condition, ...]]:
        for kind in kinds:
            if kind not in levels or kind == "baseline":
                raise UserError(
                    f"cross names `{kind}`, which is not among the conditions",
                    where=f"{self.name}: cross",
                    wanted=nearest(kind, set(levels) - {"baseline"}),
                )
        yield from itertools.product(*(levels[kind] for kind in kinds))

    def checks(self) -> list[Check]:
        """The checks that the document names."""
        made = []
        for where, name, options in _named(self.document.checks, "checks", self.name):
            part = plugins.load("checks", name, where, base=self.base)
            made.append(part(**options) if options else part)
        return made

    def condition_id(self, conditions: tuple[Condition, ...]) -> str:
        """`typos[rate=0.02]`; crosses joined by `+`."""
        return "+".join(condition_label(c.kind, c.level_name, c.level) for c in conditions)


def tasks_named(name: str, options: Any, base: Path, where: str) -> list[Task]:
    """The task of a name such as `jsonl:items.jsonl`, or all tasks of a group. Raises UserError for what it refuses."""
    part = plugins.split(name)
    if not isinstance(options, dict) or not all(isinstance(option, str) for option in options):
        raise UserError(f"options of `{name}` are {options!r}", where=where, wanted="`{name: {option: value}}`")
    if "source" in options:
        raise UserError(
            f"`source` is no option of `{name}`",
            where=where,
            wanted="the source behind the name",
            do=f"write `{part.name}:{options['source']}`, with its other options as before",
        )
    if "base" in options:
        raise UserError(f"`base` is no option of `{name}`", where=where, do="paths start from the study's folder")
    factory = plugins.load("tasks", part.name, where, base=base)
    try:
        inspect.signature(factory).bind(part.source, base, **options)
    except TypeError as error:
        raise UserError(f"`{name}` does not take these options: {error}", where=where) from error
    found = factory(part.source, base, **options)
    return found if isinstance(found, list) else [found]


def load(path: Path | str) -> Study:
    """The study in a YAML file. Raises UserError naming line, key and nearest valid word."""
    path = Path(path)
    return loads(read_text(path), base=path.resolve().parent, name=path.name)


def loads(text: str, *, base: Path, name: str = "study.yaml") -> Study:
    """The study in a YAML text; relative paths start from base."""
    data, node = read_yaml(text, name)
    document = parse(StudyDocument, data, node, name)
    for i, hypothesis in enumerate(document.hypotheses):
        first = next(j for j, h in enumerate(document.hypotheses) if h.id == hypothesis.id)
        if first < i:
            raise UserError(
                f"the hypothesis id `{hypothesis.id}` stands twice",
                where=f"{name}:{line_of(node, ('hypotheses', i, 'id'))}",
                do="give each hypothesis its own id",
            )
    return Study(document=document, base=base, name=name, text=text)


def _again(data: dict[str, Any], base: Path, name: str, text: str) -> Study:
    return Study(StudyDocument.model_validate(data), base, name, text)


def task_names(task: Task) -> set[str]:
    """What a document may call a task: its full name, or what stands before its options."""
    return {task.name, task.name.split("[")[0], task.name.split(":")[0]}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a study document, as shipped in `schemas/study.schema.json`."""
    schema = StudyDocument.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _entry(entry: ModelsEntry) -> SeriesEntry:
    scheme, source = plugins.split(entry.source)
    extra = entry.model_extra or {}
    return SeriesEntry(
        scheme=scheme,
        source=source or "",
        series=entry.series,
        tokens_per_step=entry.tokens_per_step,
        coords={k: v for k, v in extra.items() if k in COORDS and not isinstance(v, (list, dict))},
        tasks=tuple(entry.tasks or ()),
        options={k: v for k, v in extra.items() if k not in COORDS or isinstance(v, (list, dict))},
    )


def _named(entries: Sequence[Named], key: str, name: str) -> Iterator[tuple[str, str, Any]]:
    """(where, name, value) of entries such as `typos` or `{typos: [0.02]}`; value {} or None when bare."""
    for i, entry in enumerate(entries):
        where = f"{name}: {key}[{i}]"
        if isinstance(entry, str):
            yield where, entry, {} if key == "tasks" else None
        elif len(entry) == 1:
            ((kind, value),) = entry.items()
            yield where, str(kind), value if value is not None or key != "tasks" else {}
        else:
            raise UserError(
                f"an entry with {len(entry)} names: {', '.join(map(str, entry))}",
                where=where,
                wanted=f"one {key[:-1]} per entry: `- {{name: …}}`",
            )


def _refuse_twins(names: list[str], what: str, where: str) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(f"the {what} `{twice[0]}` is asked for twice", where=where, do="remove one of the two")
