"""series.yaml: coordinates of checkpoints that neither their folders' names nor the trainer's records hold.

    series: my-run
    tokens_per_step: 4096
    recipe: {optimizer: AdamW, learning_rate: 0.0003}
    points:
      - {path: step-100, step: 100, loss: 3.2}
      - {path: step-200, step: 200, loss: 2.9, recipe: {learning_rate: 0.0002}}

Paths are relative to the file. The schema ships as `schemas/series.schema.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from saltus.documents import parse, read_text, read_yaml
from saltus.errors import UserError

NAME = "series.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Point(_Strict):
    """One checkpoint."""

    path: str
    """Its folder, relative to series.yaml."""
    step: float | None = Field(default=None, ge=0)
    tokens: float | None = Field(default=None, ge=0)
    """Training tokens seen."""
    params: float | None = Field(default=None, gt=0)
    flops: float | None = Field(default=None, ge=0)
    loss: float | None = None
    """Held-out loss in nats per token; the training loss where there is no other."""
    seed: int | None = None
    date: float | str | None = None
    model: str | None = None
    """Short name of the model this is a checkpoint of."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How it was trained, where that differs from the series' recipe."""

    def coords(self) -> dict[str, float | str]:
        """The coordinates that are stated."""
        stated = self.model_dump(exclude={"path", "recipe"}, exclude_none=True)
        return {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in stated.items()}


class SeriesFile(_Strict):
    """The whole file."""

    series: str | None = None
    """Label of the series; a study's `series` overrides it."""
    tokens_per_step: float | None = Field(default=None, gt=0)
    tokenizer: str | None = None
    """Folder of the tokenizer, relative to series.yaml, where checkpoints have none of their own."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How all of them were trained: optimiser, learning rate, data."""
    points: list[Point] = Field(default_factory=list)


def read(folder: Path) -> SeriesFile | None:
    """The series.yaml of a folder, None where there is none. Raises UserError naming line and key of a mistake."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        data, node = read_yaml(read_text(path), str(path))
        found = parse(SeriesFile, data, node, str(path))
    except UserError as error:
        raise UserError(
            error.found, where=error.where, wanted=error.wanted, do="fix series.yaml; `docs/formats.md` lists its keys"
        ) from error
    seen: set[str] = set()
    for point in found.points:
        if point.path in seen:
            raise UserError(f"the path `{point.path}` stands twice", where=str(path), do="remove one")
        seen.add(point.path)
    return found


def json_schema() -> dict[str, Any]:
    """The JSON Schema of series.yaml, as shipped."""
    schema = SeriesFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
