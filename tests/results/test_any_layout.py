"""Tables as people have them: every layout gives the same three checkpoints of one model, or a remedy that works."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from saltus.errors import UserError
from saltus.results.read import Reading, read
from saltus.results.wide import Tables

ROWS = ((100, 0.25), (1000, 0.45), (10000, 0.85))
PLAIN = "model,step,task,metric,value\n" + "".join(f"lm-1b,{s},piqa,acc,{v}\n" for s, v in ROWS)


def lines(head: str, row: str, *, end: str = "\n") -> str:
    return (
        end.join([head, *(row.format(s=s, v=v, p=round(100 * v, 1), c=str(v).replace(".", ",")) for s, v in ROWS)])
        + end
    )


ROW_OF_PIPES = "| lm-1b | {s} | piqa | acc | {v} |"
RECORDS = [{"model": "lm-1b", "step": s, "task": "piqa", "metric": "acc", "value": v} for s, v in ROWS]
NESTED = [{"model": "lm-1b", "step": s, "task": "piqa", "metrics": {"acc": v}} for s, v in ROWS]
NAMED = "model,step,task,metric,value"

LAYOUTS: dict[str, bytes] = {
    "plain": PLAIN.encode(),
    "bom": b"\xef\xbb\xbf" + PLAIN.encode(),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-16-le without mark": PLAIN.encode("utf-16-le"),
    "windows line ends": PLAIN.replace("\n", "\r\n").encode(),
    "windows-1252": lines("model,step,task,metric,value,bemerkung", "lm-1b,{s},piqa,acc,{v},für").encode("cp1252"),
    "packed": gzip.compress(PLAIN.encode()),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "pipes": PLAIN.replace(",", "|").encode(),
    "decimal commas": lines("model;step;task;metric;value", "lm-1b;{s};piqa;acc;{c}").encode(),
    "decimal commas and tabs": lines("model\tstep\ttask\tmetric\tvalue", "lm-1b\t{s}\tpiqa\tacc\t{c}").encode(),
    "a comment first": ("# made by a script\n" + PLAIN).encode(),
    "comments and a blank line": ("# one\n# two, with a comma\n\n" + PLAIN).encode(),
    "a title line": ("Table 3\n" + PLAIN).encode(),
    "a comment in the middle": PLAIN.replace("lm-1b,1000", "# resumed here\nlm-1b,1000").encode(),
    "a header with a hash": ("#" + PLAIN).encode(),
    "blank cells as dashes": (PLAIN + "lm-1b,20000,piqa,acc,-\n").encode(),
    "capital headers": lines("Model,Step,Task,Metric,Value", "lm-1b,{s},piqa,acc,{v}").encode(),
    "spaces in headers": lines("Model Name, Global Step ,Task,Metric,Score", "lm-1b,{s},piqa,acc,{v}").encode(),
    "checkpoint": lines("model,checkpoint,task,acc", "lm-1b,{s},piqa,{v}").encode(),
    "step words": lines("model,step,task,metric,value", "lm-1b,step{s},piqa,acc,{v}").encode(),
    "steps in names": lines("model,task,metric,value", "lm-1b-step{s},piqa,acc,{v}").encode(),
    "paths as names": lines("model,task,metric,value", "./out/lm-1b/checkpoint-{s},piqa,acc,{v}").encode(),
    "per cent": lines("model,step,task,metric,value", "lm-1b,{s},piqa,acc,{p}").encode(),
    "a column per metric": lines("model,step,task,acc,acc_stderr", "lm-1b,{s},piqa,{v},0.01").encode(),
    "a column per task": lines("model,step,PIQA", "lm-1b,{s},{p}").encode(),
    "per-cent signs": lines("model,step,PIQA", "lm-1b,{s},{p}%").encode(),
    "errors behind": lines("model,step,PIQA", "lm-1b,{s},{p} ± 1.2").encode(),
    "bold best": lines("model,step,PIQA", "lm-1b,{s},**{p}**").encode(),
    "shots in the header": lines("model,step,PIQA (0-shot)", "lm-1b,{s},{p}").encode(),
    "an average beside": lines("model,step,PIQA,avg", "lm-1b,{s},{p},50").encode(),
    "task and metric in a header": lines("model,step,piqa_acc", "lm-1b,{s},{v}").encode(),
    "task, metric and filter in a header": lines('model,step,"piqa/acc,none"', "lm-1b,{s},{v}").encode(),
    "a metric with a unit": lines("model,step,task,Accuracy (%)", "lm-1b,{s},piqa,{p}").encode(),
    "a value with a unit": lines("model,step,task,metric,Score (%)", "lm-1b,{s},piqa,acc,{p}").encode(),
    "a run's history": lines("_step,_runtime,run_name,eval/piqa/acc", "{s},12.5,lm-1b,{v}").encode(),
    "a run's history with bars": lines("_step,run_name,eval|piqa|acc", "{s},lm-1b,{v}").encode(),
    "a panel": lines(
        "Step,lm-1b - eval/piqa/acc,lm-1b - eval/piqa/acc__MIN,lm-1b - eval/piqa/acc__MAX", "{s},{v},0,1"
    ).encode(),
    "composer": lines(
        "step,run_name,metrics/piqa/0-shot/InContextLearningMultipleChoiceAccuracy", "{s},lm-1b,{v}"
    ).encode(),
    "composer's table": lines(
        "| Category | Benchmark | Subtask | Accuracy | Number few shot | Model |\n|:---|:---|:---|---:|:---|:---|",
        "| lang | piqa |  | {v} | 0-shot | lm-1b-ba{s} |",
    )
    .replace("0-shot", "0")
    .encode(),
    "markdown": lines(
        "| model | step | task | metric | value |\n|---|---|---|---|---|", "| lm-1b | {s} | piqa | acc | {v} |"
    ).encode(),
    "printed by lm-eval": lines(
        "hf (pretrained=lm-1b), limit: None\n|Tasks|Version|Filter|n-shot|Metric|   |Value|   |Stderr|step|model|\n"
        "|-----|------:|------|-----:|------|---|----:|---|-----:|---:|---|",
        "|piqa |      1|none  |     0|acc   |↑  |{v}|±  |0.01|{s}|lm-1b|",
    ).encode(),
    "json": json.dumps(RECORDS).encode(),
    "json lines": "\n".join(map(json.dumps, RECORDS)).encode(),
    "dicts as JSON": lines("model,step,task,metrics", 'lm-1b,{s},piqa,"{{""acc"": {v}}}"').encode(),
    "dicts as Python": lines(
        "model,step,task,metrics", "lm-1b,{s},piqa,\"{{'acc': {v}, 'primary_metric': {v}}}\""
    ).encode(),
    "nested json lines": "\n".join(map(json.dumps, NESTED)).encode(),
    "thousands": lines(NAMED.replace(",", ";"), "lm-1b;{s};piqa;acc;{v}").replace(";10000;", ";10,000;").encode(),
    "step with a suffix": lines(NAMED, "lm-1b,{s},piqa,acc,{v}").replace(",10000,", ",10k,").encode(),
}


def reading(tmp_path: Path, data: bytes, **given: object) -> Reading:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    return read([path], tables=Tables(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    rows = reading(tmp_path, LAYOUTS[name]).table.filter(pl.col("value").is_not_null()).sort("step")
    assert rows["task"].str.to_lowercase().unique().to_list() == ["piqa"]
    assert [tuple(row) for row in rows.select("step", pl.col("value").round(6)).iter_rows()] == list(ROWS)
    assert rows["metric"].unique().to_list() in (["acc"], ["accuracy"], ["leaderboard_score"])
    assert all("lm-1b" in name for name in rows["model"].unique().to_list())


WIDE = lines("model,#Params (B),Foo,Bar", "m-{s},{s},{p},{p}")


def test_a_unit_in_a_header_counts(tmp_path: Path) -> None:
    found = reading(tmp_path, WIDE.encode(), wide="acc").table
    assert sorted(found["params"].unique()) == [100e9, 1000e9, 10000e9]
    assert set(found["task"]) == {"Foo", "Bar"}
    assert found["value"].max() == pytest.approx(0.85)


def test_a_wide_table_of_unknown_tasks_is_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        reading(tmp_path, WIDE.encode())
    assert "--wide" in caught.value.do
    assert reading(tmp_path, WIDE.encode(), wide="acc").table.height == 6


def test_a_table_without_a_metric_is_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    text = lines("model,step,task,value", "lm-1b,{s},piqa,{v}").encode()
    with pytest.raises(UserError) as caught:
        reading(tmp_path, text)
    assert "--metric acc" in caught.value.do
    assert reading(tmp_path, text, metric="acc").table["metric"].unique().to_list() == ["acc"]


MIXED = "model,step,task,metric,value\n" + "".join(
    f"lm,{s},{t},acc,{v}\n"
    for t, vs in (("gsm8k", (0.4, 2.5, 9.1)), ("mmlu", (25.1, 30.2, 53.9)))
    for s, v in zip((1, 10, 100), vs)
)


def test_per_cent_is_per_cent_when_the_user_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        reading(tmp_path, MIXED.encode())
    assert "--percent acc" in caught.value.do
    found = reading(tmp_path, MIXED.encode(), percent=frozenset({"acc"})).table
    assert sorted(found["value"]) == pytest.approx([0.004, 0.025, 0.091, 0.251, 0.302, 0.539])


def test_columns_of_two_scales_are_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    text = "model,step,MMLU,GSM8K\n" + "".join(f"lm,{s},{25 + s},{0.1 * s}\n" for s in (1, 2, 3))
    with pytest.raises(UserError) as caught:
        reading(tmp_path, text.encode())
    assert "--percent MMLU" in caught.value.do
    found = reading(tmp_path, text.encode(), percent=frozenset({"MMLU"})).table
    assert found.filter(task="GSM8K")["value"].max() == pytest.approx(0.3)
    assert reading(tmp_path, text.encode(), percent=frozenset()).table.filter(task="GSM8K")[
        "value"
    ].max() == pytest.approx(0.003)


def test_a_line_with_too_many_cells_is_refused_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        reading(tmp_path, (PLAIN.replace(",", ";") + "lm-1b;1;piqa;acc;0.5;x\n").encode())
    assert "6 cells under 5 columns" in caught.value.found
    assert "line 5" in str(caught.value.where)


def test_prose_in_a_folder_is_listed_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Notes, with commas, in a line.\nAnd, another\n")
    (tmp_path / "t.csv").write_text(PLAIN)
    found = read([tmp_path])
    assert found.table.height == 3
    assert any(note.startswith("README.md: not read") for note in found.notes)


def test_hidden_folders_of_local_checkpoints_are_read_and_others_named(tmp_path: Path) -> None:
    for folder in (".__out__checkpoint-10", "__data__x", "..__y", ".git", "__pycache__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text(PLAIN.replace("lm-1b", f"lm{len(folder)}"))
    found = read([tmp_path])
    assert found.table["model"].n_unique() == 3
    assert any(".git" in note and "__pycache__" in note for note in found.notes)


def test_a_pointer_of_git_lfs_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "big.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n")
    (tmp_path / "t.csv").write_text(PLAIN)
    found = read([tmp_path])
    assert found.table.height == 3
    assert any("Git LFS pointer; fetch it with `git lfs pull`" in note for note in found.notes)


def test_a_small_percentage_is_one_when_its_header_says_so(tmp_path: Path) -> None:
    text = "model,step,task,metric,Score (%)\n" + "".join(f"lm,{s},piqa,acc,0.{s}\n" for s in (1, 2, 3))
    assert sorted(reading(tmp_path, text.encode()).table["value"]) == pytest.approx([0.001, 0.002, 0.003])


def test_a_workbook_is_named_with_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(UserError, match="Excel workbook") as caught:
        read([tmp_path / "t.xlsx"])
    assert "save the sheet as CSV" in caught.value.do


@pytest.mark.parametrize("name", ["wer", "ece", "toxicity", "my_error_rate", "hallucination_rate"])
def test_errors_improve_downwards(name: str, tmp_path: Path) -> None:
    text = lines("model,step,task,metric,value", f"lm-1b,{{s}},t,{name},{{v}}")
    from saltus.results.metric_of import metric_of

    table = reading(tmp_path, text.encode()).table
    assert metric_of(table, name).higher_is_better is False


def test_an_unknown_direction_is_asked_for(tmp_path: Path) -> None:
    text = "model,step,task,metric,value\n" + "".join(f"m,{s},t,fooness,{1 - s / 10}\n" for s in range(1, 8))
    found = reading(tmp_path, text.encode())
    assert found.table["value"].null_count() == 7
    assert any("--lower-is-better fooness or --higher-is-better fooness" in note for note in found.notes)
    for higher in (True, False):
        stated = reading(tmp_path, text.encode(), better={"fooness": higher}).table
        assert stated["value"].null_count() == 0
        assert stated["higher_is_better"].unique().to_list() == [higher]
