"""GGUF files are listed like folders, asked like the checkpoint they were made from, and refused when damaged."""

from __future__ import annotations

import importlib.util
import io
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from saltus.cli.show_doctor import render
from saltus.errors import MissingExtra
from saltus.models.base import ModelError
from saltus.models.checkpoints.gguf import GgufCheckpoint, read_header
from saltus.models.folders import adapter
from saltus.records import AskPolicy, ModelRef, Request, SeriesEntry
from saltus.runner.doctor import examine

from helpers.gguf_files import write_gguf

Tiny = Callable[..., Path]
ASK = AskPolicy()
KINDS = ("F32", "Q8_0", "Q4_0")


@pytest.fixture(scope="module")
def llama(tiny: Tiny) -> Path:
    return tiny("llama", bos="prepends")


@pytest.fixture(scope="module")
def files(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with step-1.gguf in F32, step-20.gguf in Q8_0 and step-300.gguf in Q4_0."""
    folder = tmp_path_factory.mktemp("gguf")
    for step, kind in zip((1, 20, 300), KINDS, strict=True):
        write_gguf(llama, folder / f"step-{step}.gguf", kind)
    (folder / "notes.txt").write_text("not a model")
    return folder


def listed(base: Path, source: str, **entry: Any) -> list[ModelRef]:
    return list(adapter.series(SeriesEntry(scheme="dir", source=source, **entry), ASK, base))


def asked(ref: ModelRef) -> tuple[float, ...]:
    model = adapter.open(ref, ASK)
    try:
        request = Request(kind="loglikelihood", prompt="the quick brown", continuation=" fox jumps over")
        return next(model.loglikelihood([model.encode(request)])).token_logprobs
    finally:
        model.close()


@pytest.mark.parametrize("source", ["step-{step}.gguf", "."])
def test_files_are_points_like_folders(files: Path, source: str) -> None:
    refs = listed(files, source, series="S", tokens_per_step=10)
    assert [r.coords["step"] for r in refs] == [1, 20, 300]
    assert {r.coords["params"] for r in refs} == {39072}
    assert refs[0].recipe["derived"]["params"] == "counted from the GGUF header"
    (one,) = listed(files, "step-20.gguf")
    assert (one.coords["step"], Path(one.location).name) == (20, "step-20.gguf")


def test_a_file_answers_as_the_checkpoint_it_was_made_from(files: Path, llama: Path) -> None:
    (folder,) = listed(llama.parent, llama.name)
    whole, q8, q4 = map(asked, listed(files, "step-{step}.gguf"))
    truth = asked(folder)
    assert whole == pytest.approx(truth, abs=1e-5)
    far = [max(abs(a - b) for a, b in zip(truth, one, strict=True)) for one in (q8, q4)]
    assert 0.001 < far[0] < far[1] < 3, "quantised weights are another model, four bits more so"


def test_what_is_asked_is_written_down(files: Path) -> None:
    models = [adapter.open(ref, ASK) for ref in listed(files, "step-{step}.gguf")]
    about = [m.describe().plain() for m in models]
    assert [a["quantisation"] for a in about] == list(KINDS)
    assert {a["dtype"] for a in about} == {"float32"}
    assert len({a["tokenizer"]["hash"] for a in about}) == 1, "the weights are no part of it"
    assert len({m.identity for m in models}) == 3
    assert about[0]["bos"]["prepended"]


def test_doctor_shows_the_quantisation(files: Path) -> None:
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(render(examine("dir:step-20.gguf", base=files)))
    assert "gguf llama, float32 of Q8_0, 39,072 parameters" in console.export_text()


def test_another_tokenizer_is_another_hash(files: Path, llama: Path, tmp_path: Path) -> None:
    other = write_gguf(llama, tmp_path / "other.gguf", add_bos=False)
    assert read_header(other).tokenizer != read_header(files / "step-1.gguf").tokenizer


def test_a_tokenizer_may_be_named(files: Path, llama: Path) -> None:
    (ref,) = listed(files, "step-1.gguf", options={"tokenizer": str(llama)})
    model = adapter.open(ref, ASK)
    assert model.describe().tokenizer.folder == str(llama)


def test_a_file_cut_short_is_listed_and_refused_by_name(files: Path, tmp_path: Path) -> None:
    whole = (files / "step-1.gguf").read_bytes()
    for step, cut in ((1, len(whole) - 5000), (2, 3000), (3, 10)):
        (tmp_path / f"step-{step}.gguf").write_bytes(whole[:cut])
    (tmp_path / "step-4.gguf").write_bytes(b"<html>not found</html>")
    (tmp_path / "step-5.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 1, 1))
    shutil.copy(files / "step-1.gguf", tmp_path / "step-6.gguf")
    refs = listed(tmp_path, "step-{step}.gguf")
    assert [r.coords["step"] for r in refs] == [1, 2, 3, 4, 5, 6]
    message = ("bytes where", "within its header", "within its header", "begin with GGUF", "version 9")
    for ref, words in zip(refs, message, strict=False):
        with pytest.raises(ModelError, match=f"step-{ref.coords['step']}.gguf.*{words}"):
            adapter.open(ref, ASK)
    assert asked(refs[5])


def test_a_part_of_several_is_refused(files: Path, tmp_path: Path) -> None:
    part = tmp_path / "big-00001-of-00002.gguf"
    shutil.copy(files / "step-1.gguf", part)
    with pytest.raises(ModelError, match="gguf-split --merge"):
        adapter.open(listed(tmp_path, part.name)[0], ASK)


def test_a_file_that_went_away_is_named(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "step-1.gguf", tmp_path)
    (ref,) = listed(tmp_path, "step-{step}.gguf")
    (tmp_path / "step-1.gguf").unlink()
    with pytest.raises(ModelError, match="the file is gone"):
        adapter.open(ref, ASK)


def test_without_the_packages_the_extra_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else found(name))
    refs = listed(files, "step-{step}.gguf")
    with pytest.raises(MissingExtra, match=r"saltus\[gguf\]"):
        adapter.open(refs[0], ASK)


def test_no_bar_is_shown_while_weights_are_read(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked(listed(files, "step-20.gguf")[0])
    assert "dequantizing" not in capfd.readouterr().err.replace("-", "")


def test_the_header_says_what_is_in_it(files: Path) -> None:
    checkpoint = GgufCheckpoint(files / "step-300.gguf")
    assert checkpoint.config["max_position_embeddings"] == 128
    assert checkpoint.config["vocab_size"] == 320
    assert {t.shape for t in checkpoint.header.tensors if t.name == "token_embd.weight"} == {(32, 320)}
