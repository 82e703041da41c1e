"""Findings as a file, a table and a notebook cell.

`findings.jsonl` holds one finding per line, as plain JSON, without loss: what is read equals what was
written. A file from a newer saltus may carry fields this one does not know; they are left out and
named in `Findings.notices`. The JSON Schema lives in `finding_schema.py`.
Known limit: inside `detail`, `forecast` and `curve` tuples come back as lists, as JSON has no tuples.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

from saltus.errors import UserError
from saltus.hashing import content_hash
from saltus.records import Evidence, Finding, Guard, Quantity, Replication, Verdict
from saltus.stats.batch import CurveKey

if TYPE_CHECKING:
    import polars as pl

FINDING_SCHEMA_VERSION = "1.0"
"""Grows in its second part when a field is added, in its first when a meaning changes."""

QUANTITIES = ("width_hard", "width_soft", "smoothest_admissible_width", "rise")
_RECORDS = {"replication": Replication, "evidence": Evidence, "guards": Guard} | dict.fromkeys(
    (*QUANTITIES, "onset_other_axes"), Quantity
)


def finding_id(key: CurveKey) -> str:
    """Hash of what a finding is about: series, task, condition, axis, hard metric and slice.

    The same question to the same curve has the same id in every analysis and release, so findings can be
    compared; `study_id` beside it distinguishes the studies.
    """
    names = ("series", "task", "condition", "axis", "metric_hard", "slice")
    return content_hash({name: getattr(key, name) for name in names})


@dataclasses.dataclass(frozen=True)
class Findings(Sequence[Finding]):
    """Findings in order, with a table of them and a way to show themselves."""

    items: tuple[Finding, ...] = ()
    notices: tuple[str, ...] = ()
    """What reading left out, in words."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Findings: ...
    def __getitem__(self, index: int | slice) -> Finding | Findings:
        return Findings(self.items[index], self.notices) if isinstance(index, slice) else self.items[index]

    def primary(self) -> Findings:
        """Only the primary findings: one per series × task × condition × axis."""
        return Findings(tuple(f for f in self.items if f.primary), self.notices)

    def to_frame(self) -> pl.DataFrame:
        """One row per finding in flat columns; an empty list gives the columns with no rows.

        Quantities become `name, name_low, name_high, name_unit`; the weight of each word `weight_<word>`; axes other
        than the judged one `onset_<axis>`; guards the names of those that fired; reasons JSON text.
        Evidence and curve stay in the file.
        """
        import polars as pl

        axes = sorted({axis for f in self.items for axis in f.onset_other_axes})
        rows = [_flat_row(f, axes) for f in self.items]
        return pl.DataFrame(rows, schema=_frame_schema(axes), strict=False)

    def __repr__(self) -> str:
        words = ", ".join(f"{n} {word}" for word, n in Counter(f.verdict for f in self.items).most_common())
        return f"<{len(self.items)} findings: {words or 'none'}>"

    def _repr_html_(self) -> str:
        from saltus.page.notebook import findings_html

        return findings_html(self)


def write_findings(findings: Iterable[Finding], path: Path | str) -> Path:
    """Write one JSON line per finding, whole or not at all. Raises UserError where the place cannot be written.

    NaN and infinity raise ValueError: a missing value is null with a reason.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "w", encoding="utf-8") as file:
            for finding in findings:
                file.write(dump_finding(finding) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"cannot write findings: {error.strerror}", where=str(path), do="choose another place with --out"
        ) from error
    return path


def dump_finding(finding: Finding) -> str:
    """One line of JSON, fields in the order of the record. Raises ValueError for NaN and infinity."""
    return json.dumps(finding, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def read_findings(path: Path | str) -> Findings:
    """Read a findings.jsonl. Raises UserError naming file, line and field where a line is not a finding."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # texts may hold other line ends
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read findings: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            wanted="a findings.jsonl that saltus wrote",
            do="saltus analyze … --out DIR writes one",
        ) from error
    findings, unknown = [], Counter[str]()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            finding, names = _load(line, f"{path}:{number}")
            findings.append(finding)
            unknown.update(names)
    notices = tuple(
        f"{path}: left out `{name}` of {count} finding(s): this saltus does not know it; a newer one wrote the file"
        for name, count in sorted(unknown.items())
    )
    return Findings(tuple(findings), notices)


def _load(line: str, where: str) -> tuple[Finding, list[str]]:
    """One line → finding and the names of fields that this release does not know."""
    from pydantic import ValidationError

    remedy = "restore the file, or write it again with `saltus analyze`"
    try:
        data = json.loads(line)
    except ValueError as error:
        raise UserError(f"not JSON: {error}", where=where, wanted="one finding per line", do=remedy) from error
    if not isinstance(data, dict):
        raise UserError("not a JSON object", where=where, wanted="one finding per line", do=remedy)
    version = str(data.get("schema_version", ""))
    if version and version.split(".")[0] != FINDING_SCHEMA_VERSION.split(".")[0]:
        raise UserError(
            f"finding of schema version {version}",
            where=where,
            wanted=f"{FINDING_SCHEMA_VERSION}",
            do="read it with the release of saltus that wrote it",
        )
    try:
        return _adapter().validate_python(data), list(_unknown(data))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"not a finding: `{field}`: {first['msg']}",
            where=where,
            wanted="see schemas/finding.schema.json",
            do=remedy,
        ) from error


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Finding)


def _unknown(data: Mapping[str, Any]) -> Iterator[str]:
    """Names of fields, also one level down, that the records do not have."""
    yield from data.keys() - {f.name for f in dataclasses.fields(Finding)}
    for name, record in _RECORDS.items():
        known = {f.name for f in dataclasses.fields(record)}
        value = data.get(name) or {}
        if name == "onset_other_axes":
            parts = list(value.values())
        else:
            parts = value if isinstance(value, list) else [value]
        for part in parts:
            yield from (f"{name}.{extra}" for extra in part.keys() - known)


def _plain(value: Any) -> Any:
    """What JSON does not know, one level down: a record as an object (null included), a numpy number, a mapping."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@cache
def _names(record: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(record))


_TEXT = (
    "finding_id",
    "study_id",
    "series",
    "task",
    "condition",
    "axis",
    "metric_hard",
    "metric_soft",
    "slice",
    "verdict",
    "integrity",
    "presence",
    "shape_hard",
    "shape_soft",
    "predicted",
    "twin",
    "scope",
    "floor_source",
    "family",
    "schema_version",
)
_REAL = (
    "onset",
    "onset_low",
    "onset_high",
    "floor",
    "dispersion",
    "minimum_detectable_effect",
    "p_value",
    "q_value",
    "false_alarm_rate",
)
_WHOLE = ("n_points", "n_items", "n_seeds", "family_size")
_FLAG = ("primary", "localised")
_LISTS = ("caveats", "next_data")


def _flat_row(f: Finding, axes: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(f, name) for name in (*_TEXT, *_REAL, *_WHOLE, *_FLAG)}
    row |= {name: list(getattr(f, name)) for name in _LISTS}
    row |= {"seeds": f.replication.seeds, "leapt": f.replication.leapt}
    row |= {"populations": f.replication.populations}
    row |= {f"weight_{word}": f.verdict_weights.get(word, 0.0) for word in get_args(Verdict)}
    spans = {name: getattr(f, name) for name in QUANTITIES}
    spans |= {f"onset_{axis}": f.onset_other_axes.get(axis, Quantity(value=None)) for axis in axes}
    for name, quantity in spans.items():
        row |= {name: quantity.value, f"{name}_low": quantity.low, f"{name}_high": quantity.high}
        row[f"{name}_unit"] = quantity.unit
    row["guards"] = [guard.name for guard in f.guards if guard.fired]
    row["reasons"] = json.dumps(dict(f.reasons), ensure_ascii=False)
    return row


def _frame_schema(axes: Sequence[str]) -> dict[str, Any]:
    import polars as pl

    schema: dict[str, Any] = dict.fromkeys(_TEXT, pl.String) | dict.fromkeys(_REAL, pl.Float64)
    schema |= dict.fromkeys(_WHOLE, pl.Int64) | dict.fromkeys(_FLAG, pl.Boolean)
    schema |= dict.fromkeys((*_LISTS, "guards"), pl.List(pl.String))
    schema |= dict.fromkeys(("seeds", "leapt", "populations"), pl.Int64)
    schema |= {f"weight_{word}": pl.Float64 for word in get_args(Verdict)}
    for name in (*QUANTITIES, *(f"onset_{axis}" for axis in axes)):
        schema |= {name: pl.Float64, f"{name}_low": pl.Float64, f"{name}_high": pl.Float64}
        schema[f"{name}_unit"] = pl.String
    return schema | {"reasons": pl.String}
