"""The shipped schema of series.yaml is the one the code reads by, and the documented example is valid."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import yaml

from saltus.models.checkpoints import series_file


def test_the_schema_in_the_package_is_current() -> None:
    shipped = json.loads(files("saltus").joinpath("schemas/series.schema.json").read_text("utf-8"))
    assert shipped == series_file.json_schema()


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    example = (series_file.__doc__ or "").split("\n\n")[1]
    text = "\n".join(line[4:] for line in example.splitlines())
    jsonschema.validate(yaml.safe_load(text), series_file.json_schema())
    (tmp_path / "series.yaml").write_text(text)
    read = series_file.read(tmp_path)
    assert read is not None
    assert read.points[1].coords() == {"step": 200, "loss": 2.9}
    assert series_file.read(tmp_path / "elsewhere") is None
