"""What the logs of a store say exists: live segments, models, studies, gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from saltus.records import ModelRef
from saltus.store.log import Line


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One Parquet file of a segment."""

    name: str
    sha256: str
    rows: int
    bytes: int
    model: str = ""
    """Identity of the segment it belongs to."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A committed piece of one model's answers: up to one file of each kind."""

    model: str
    """Identity of the model that was opened: the base of all of them."""
    files: Mapping[str, StoredFile]
    """Kind → file."""
    time: float
    writer: str
    tokens: int
    seconds: float
    """Wall time the model was asked for this segment."""
    changed: int = 0
    """Questions that had two different answers when older segments were merged into this one."""
    models: tuple[str, ...] = ()
    """Identities in it where there are more than one: the base and its edits."""

    def holds(self, model: str) -> bool:
        """Whether rows of that identity are in it."""
        return model == self.model or model in self.models


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as one run found it."""

    identity: str
    ref: ModelRef
    describe: Mapping[str, Any]
    study_id: str
    writer: str
    time: float
    host: Mapping[str, Any]
    """Machine, hardware and package versions of the run."""

    def stated(self) -> dict[str, Any]:
        """The part of its line that describes the model."""
        return {"identity": self.identity, "ref": self.ref, "describe": self.describe, "study_id": self.study_id}


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as one run was given it."""

    study_id: str
    document: Mapping[str, Any]
    answers_before: int
    """Answers the store held when the run began."""
    time: float
    writer: str
    host: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a model has no answers to a task (or, without a task, to anything more) in one run."""

    ref: ModelRef
    task: str | None
    what: str
    """"failed" or "refused"."""
    why: str
    study_id: str
    time: float


@dataclass
class Contents:
    """Everything the logs say, oldest first."""

    segments: list[Segment] = field(default_factory=list)
    models: list[ModelRecord] = field(default_factory=list)
    studies: list[StudyRecord] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    """Names of files that a compaction merged into others."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Identity under which an earlier release stored a model's answers → the one it has now."""

    def files(self, kind: str, model: str | None = None) -> list[StoredFile]:
        """Live files of a kind, of one model or of all."""
        mine = [s for s in self.segments if kind in s.files and (model is None or s.holds(model))]
        return [segment.files[kind] for segment in mine]


def contents(lines: Sequence[Line]) -> Contents:
    """Reads the lines of all logs; unknown kinds of lines are left to newer versions."""
    found = Contents()
    hosts: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        body = line.body
        if line.kind in ("segment", "compact"):
            found.replaced.update(body.get("replaces", ()))
            found.segments.append(_segment(line))
        elif line.kind == "study":
            hosts[line.writer] = body["host"]
            found.studies.append(
                StudyRecord(
                    body["study_id"], body["document"], body["answers_before"], line.time, line.writer, body["host"]
                )
            )
        elif line.kind == "model":
            found.models.append(
                ModelRecord(
                    body["identity"],
                    ref_from(body["ref"]),
                    body["describe"],
                    body["study_id"],
                    line.writer,
                    line.time,
                    hosts.get(line.writer, {}),
                )
            )
        elif line.kind == "alias":
            found.aliases[body["former"]] = body["identity"]
        elif line.kind == "learned":
            _learn(found.models, body)
        elif line.kind == "gap":
            found.gaps.append(
                Gap(ref_from(body["ref"]), body.get("task"), body["what"], body["why"], body["study_id"], line.time)
            )
    found.segments = [_renamed(s, found.aliases) for s in found.segments if not _gone(s, found.replaced)]
    found.models = [replace(m, identity=found.aliases.get(m.identity, m.identity)) for m in found.models]
    return found


def _renamed(segment: Segment, aliases: Mapping[str, str]) -> Segment:
    if not aliases or segment.model not in aliases:
        return segment
    model = aliases[segment.model]
    files = {kind: replace(file, model=model) for kind, file in segment.files.items()}
    return replace(segment, model=model, files=files)


def _learn(models: list[ModelRecord], body: Mapping[str, Any]) -> None:
    """What asking showed of a model enters its record of that run; its time stays, which gaps are held against."""
    key = ref_key(ref_from(body["ref"]))
    for i, record in reversed(list(enumerate(models))):
        if (ref_key(record.ref), record.identity, record.study_id) == (key, body["identity"], body["study_id"]):
            models[i] = replace(record, describe=body["describe"])
            return


def _segment(line: Line) -> Segment:
    body = line.body
    files = {kind: StoredFile(**file, model=body["model"]) for kind, file in body["files"].items()}
    return Segment(
        body["model"],
        files,
        line.time,
        line.writer,
        int(body.get("tokens", 0)),
        float(body.get("seconds", 0)),
        int(body.get("changed", 0)),
        tuple(body.get("models", ())),
    )


def _gone(segment: Segment, replaced: set[str]) -> bool:
    # A compaction replaces all files of a segment or none, so one name tells.
    return not segment.files or any(f.name in replaced for f in segment.files.values())


def ref_from(data: Mapping[str, Any]) -> ModelRef:
    """A ModelRef from its JSON; fields of newer versions are left out."""
    known = {f.name for f in fields(ModelRef)}
    values = {k: v for k, v in data.items() if k in known}
    if "edits" in values:
        values["edits"] = tuple(values["edits"])
    return ModelRef(**values)


def ref_key(ref: ModelRef) -> tuple[str, str, str | None, str]:
    """What makes two records the same model of a study, whatever its weights are today."""
    return ref.adapter, ref.location, ref.revision, repr(ref.edits)
