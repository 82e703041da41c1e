"""`hf:` lists revisions from a hub or its cache, pins them, and fetches weights only when they are asked.

The hub is a real HTTP server on this machine that answers the routes huggingface_hub uses, from folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from saltus.errors import UserError
from saltus.models.base import ModelError
from saltus.models.folders import adapter as folders
from saltus.models.hub import adapter
from saltus.models.local.loading import read_weights
from saltus.records import AskPolicy, ModelRef, Request, SeriesEntry

Tiny = Callable[..., Path]
ASK = AskPolicy()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class FakeHub:
    """repository -> revision -> folder; commits are hashes of the revision's name."""

    repos: dict[str, dict[str, Path]]
    asked: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    @staticmethod
    def commit(revision: str) -> str:
        return revision if re.fullmatch("[0-9a-f]{40}", revision) else sha(revision.encode())[:40]

    def folder(self, repo: str, revision: str) -> Path:
        return next(f for r, f in self.repos[repo].items() if self.commit(r) == self.commit(revision))

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        if path == "/api/models":
            wanted = query.get("author", [""])[0] + "/" + query.get("search", [""])[0]
            return (200, {}, json.dumps([{"id": r} for r in self.repos if r.startswith(wanted)]).encode())
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(refs|revision/(.+))", path)
        if about:
            if about[1] not in self.repos:
                return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
            body = self.refs(about[1]) if about[2] == "refs" else self.info(about[1], about[3])
            return 200, {}, json.dumps(body).encode()
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if file is None or file[3] in self.broken or not (self.folder(file[1], file[2]) / file[3]).is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        data = (self.folder(file[1], file[2]) / file[3]).read_bytes()
        large = file[3].endswith(".safetensors")
        etag = sha(data) if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": self.commit(file[2])}, data

    def refs(self, repo: str) -> dict[str, Any]:
        branches = [{"name": r, "ref": f"refs/heads/{r}", "targetCommit": self.commit(r)} for r in self.repos[repo]]
        return {"branches": branches, "tags": [], "converts": []}

    def info(self, repo: str, revision: str) -> dict[str, Any]:
        siblings = []
        for path in sorted(self.folder(repo, revision).iterdir()):
            data = path.read_bytes()
            one: dict[str, Any] = {"rfilename": path.name, "size": len(data)}
            if path.name.endswith(".safetensors"):
                one["lfs"] = {"sha256": sha(data), "size": len(data), "pointerSize": 130}
            siblings.append(one)
        return {
            "id": repo,
            "modelId": repo,
            "sha": self.commit(revision),
            "siblings": siblings,
            "tags": [],
            "private": False,
            "downloads": 0,
            "safetensors": {"parameters": {"F32": 39072}, "total": 39072},
        }


@pytest.fixture
def hub(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    first, second = tiny("llama"), tiny("llama", seed=1)
    steps = {"main": second, "step0": first, "step512": second, "step-odd": first}
    fake = FakeHub({"org/pico-10m": steps, "org/pico-20m": {"main": second, "step0": first}, "org/other": steps})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, headers, body = fake.answer(parts.path, parse_qs(parts.query))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield fake
    server.shutdown()
    server.server_close()


def listed(source: str, **entry: Any) -> list[ModelRef]:
    return list(adapter.series(SeriesEntry(scheme="hf", source=source, **entry), ASK, Path()))


def asked(ref: ModelRef) -> tuple[float, ...]:
    model = adapter.open(ref, ASK)
    request = model.encode(Request(kind="loglikelihood", prompt="the quick", continuation=" fox"))
    answer = next(model.loglikelihood([request]))
    assert answer.error is None
    model.close()
    return answer.token_logprobs


def test_revisions_that_match_are_listed_and_pinned(hub: FakeHub) -> None:
    refs = listed("org/pico-10m@step{step}", tokens_per_step=100.0)
    assert [(r.revision, r.coords["step"], r.coords["tokens"]) for r in refs] == [
        ("step0", 0, 0),
        ("step512", 512, 51_200),
    ]
    assert refs[1].recipe["commit"] == hub.commit("step512")
    assert refs[0].coords["params"] == 39_072
    assert refs[0].series == refs[0].coords["model"] == "pico-10m"
    assert [r.revision for r in listed("org/pico-10m")] == ["main"]
    assert [r.revision for r in listed("org/pico-10m@step{step}", options={"step": [512]})] == ["step512"]


def test_a_hole_in_the_name_finds_repositories(hub: FakeHub) -> None:
    refs = listed("org/pico-{params}@step{step}")
    assert [(r.location, r.coords["params"], r.revision) for r in refs] == [
        ("org/pico-10m", 10e6, "step0"),
        ("org/pico-10m", 10e6, "step512"),
        ("org/pico-20m", 20e6, "step0"),
    ]
    assert {r.series for r in refs} == {"pico"}
    assert refs[2].coords["model"] == "pico-20m"
    hub.asked.clear()
    refs = listed("org/pico-{params}@step{step}", options={"params": ["20m"], "step": [0]})
    assert [r.location for r in refs] == ["org/pico-20m"]
    assert "/api/models" not in hub.asked


def test_opening_fetches_small_files_and_asking_fetches_the_weights(hub: FakeHub, tiny: Tiny) -> None:
    ref = listed("org/pico-10m@step512")[0]
    model = adapter.open(ref, ASK)
    assert not any("safetensors" in path for path in hub.asked)
    local = folders.open(ModelRef(adapter="dir", location=str(tiny("llama", seed=1)), series="s"), ASK)
    assert model.identity == local.identity
    request = model.encode(Request(kind="loglikelihood", prompt="the quick", continuation=" fox"))
    ours, theirs = (next(m.loglikelihood([request])) for m in (model, local))
    assert replace(ours, seconds=0.0) == replace(theirs, seconds=0.0)
    assert any(path.endswith("model.safetensors") for path in hub.asked)


def test_offline_the_cache_is_listed_and_asked(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    online = [asked(ref) for ref in listed("org/pico-10m@step{step}")]
    identities = [adapter.open(ref, ASK).identity for ref in listed("org/pico-10m@step{step}")]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.asked.clear()
    cache = Path(os.environ["HF_HOME"]) / "hub/models--org--pico-10m"
    for name in ("step0", "step512"):  # as from_pretrained(revision=…) leaves them
        (cache / "refs").mkdir(exist_ok=True)
        (cache / "refs" / name).write_text(hub.commit(name))
    refs = listed("org/pico-{params}@step{step}")
    assert [r.coords["step"] for r in refs] == [0, 512]
    assert [adapter.open(ref, ASK).identity for ref in refs] == identities
    assert [asked(ref) for ref in refs] == online
    assert not hub.asked


def test_an_interrupted_download_is_fetched_again(hub: FakeHub) -> None:
    ref = listed("org/pico-10m@step0")[0]
    hub.broken.add("model.safetensors")
    model = adapter.open(ref, ASK)
    request = model.encode(Request(kind="loglikelihood", prompt="the", continuation=" fox"))
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be fetched"):
        list(model.loglikelihood([request]))
    hub.broken.clear()
    assert all(logprob < 0 for logprob in asked(ref))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("org/pico-10m@stage{step}", "no revision .* matches `stage.*step0"),
        ("org/pico-10n", "org/pico-10n can be neither reached"),
        ("org/huge-{params}", "no repository matches"),
        ("a/b/c", "no repository of the hub"),
    ],
)
def test_mistakes_say_what_is_there(source: str, message: str, hub: FakeHub) -> None:
    with pytest.raises(UserError, match=message):
        listed(source)


def test_offline_without_a_cache_says_so(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        listed("org/pico-10m@step{step}")


def test_the_base_of_an_adapter_comes_from_the_hub(hub: FakeHub, tiny: Tiny, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    for step in (5, 50):
        folder = tmp_path / f"out/checkpoint-{step}"
        folder.mkdir(parents=True)
        save_file({name.format(side): torch.full((32, 32), 0.1) for side in "AB"}, folder / "adapter_model.safetensors")
        stated = {"peft_type": "LORA", "r": 32, "lora_alpha": step, "base_model_name_or_path": "org/pico-10m"}
        (folder / "adapter_config.json").write_text(json.dumps(stated | {"revision": "step0"}))
    refs = folders.series(SeriesEntry(scheme="dir", source="out/checkpoint-{step}"), ASK, tmp_path)
    assert [r.coords["params"] for r in refs] == [39_072, 39_072]
    assert sum("/revision/" in path for path in hub.asked) == 1, "the base is looked up once for all"
    assert not any("model.safetensors" in path for path in hub.asked)
    model: Any = folders.open(refs[0], ASK)
    assert f"pico-10m/snapshots/{hub.commit('step0')}" in model.describe().detail["base"]
    weight = "model.layers.0.self_attn.q_proj.weight"
    base = read_weights(tiny("llama"), ASK).get_parameter(weight)
    assert torch.allclose(model.net.get_parameter(weight), base + 5 / 32 * 0.32, atol=1e-5)


def test_an_adapter_on_the_hub_is_named_as_one(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/adapter_config.json").write_text("{}")
    hub.repos["org/lora"] = {"main": tmp_path / "lora"}
    (ref,) = adapter.series(SeriesEntry(scheme="hf", source="org/lora"), ASK, tmp_path)
    with pytest.raises(ModelError, match="an adapter without its network; download it"):
        adapter.open(ref, ASK)
