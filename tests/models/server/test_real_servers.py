"""Servers that others wrote, where they are installed: what the probe says of them, by the benchmark's own bars."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from saltus.models.local.tiny import checkpoint

from helpers.places import ROOT

ROOT = ROOT


@pytest.fixture(scope="module")
def servers() -> Any:
    spec = importlib.util.spec_from_file_location("servers", ROOT / "benchmarks" / "servers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options(servers: Any, kind: str, folder: Path, gguf: Path | None = None) -> argparse.Namespace:
    args = argparse.Namespace(folder=folder, gguf=gguf, python=sys.executable, threads=1)
    why = servers.missing(kind, args)
    if why:
        pytest.skip(f"{kind}: {why}")
    return args


@pytest.mark.slow
def test_transformers_serve_tells_nothing_of_a_prompt_and_is_refused(servers: Any, tmp_path: Path) -> None:
    args = options(servers, "transformers", checkpoint(tmp_path / "tiny", "llama"))
    found = servers.look("transformers", args)
    assert found["offers"] == ["generate"]
    assert "no `logprobs` in the answer" in found["lacks"]["loglikelihood"]
    assert servers.kept("transformers", found), found


@pytest.mark.slow
def test_llama_cpp_tells_the_log_probabilities_of_a_prompt_and_no_penalty_is_left(servers: Any) -> None:
    """Needs `make bench`, which installs the server and makes the model, and $SALTUS_GEMMA, its folder."""
    made = os.environ.get("SALTUS_GEMMA")
    if not made:
        pytest.skip("$SALTUS_GEMMA names no folder")
    found = servers.look("llama.cpp", options(servers, "llama.cpp", Path(made), Path(f"{made}.gguf")))
    assert "loglikelihood" in found["offers"]
    lines = {line["name"]: line for line in found["probe"]}
    assert "turned off" in lines["greedy"]["seen"]
    assert servers.kept("llama.cpp", found), found
