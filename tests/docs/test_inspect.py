"""The study in docs/inspect.md runs as it stands."""

from __future__ import annotations

import re

import pytest

from saltus.errors import UserError
from saltus.models.inspect import entry as inspect_entry
from saltus.models.inspect import model as inspect_ai
from saltus.records import AskPolicy
from saltus.runner.open import load_with_store, run_study
from saltus.study.document import loads
from saltus.tasks.inspect.task import OPTIONS

from helpers.places import ROOT

PAGE = (ROOT / "docs" / "inspect.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n# counting\.py\n(.*?)```", PAGE, re.S)
STUDY, MODELS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)

pytestmark = pytest.mark.usefixtures("files_allowed")


def test_the_task_of_the_page_is_measured_over_the_series(tmp_path):
    (tmp_path / "counting.py").write_text(CODE)
    document = tmp_path / "study.yaml"
    document.write_text(STUDY)
    assert run_study(document).failures == []
    study, store = load_with_store(document)
    table = store.table(study).collect().filter(metric="accuracy").sort("tokens")
    assert table["n_items"].to_list() == [10] * 8
    values = table["value"].to_list()
    assert values[0] < 0.2
    assert values[-1] == 1.0


def test_the_models_of_the_page_are_two_and_every_option_is_named(tmp_path):
    text = f"study: s\nquestion: q\ntasks: [addition]\n{MODELS}"
    (entry,) = loads(text, base=tmp_path).entries()
    refs = inspect_ai.adapter.series(entry, AskPolicy(), tmp_path)
    assert [r.coords["params"] for r in refs] == [160e6, 410e6]
    for option in (*OPTIONS, *inspect_entry.OPTIONS):
        assert f"`{option}`" in PAGE or f"`{option} (" in PAGE or f"{option}:" in PAGE, option


def test_a_worked_example_too_many_is_refused_as_the_page_says(tmp_path):
    from saltus.tasks.inspect.task import make

    (tmp_path / "counting.py").write_text(CODE)
    task = make("counting.py@counting", tmp_path)
    with pytest.raises(UserError, match="worked examples itself"):
        task.demos(None, 1, None)
