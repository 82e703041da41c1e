"""The event log: one chain whoever writes, every change in it shows, a kill costs the event in flight."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from saltus.hashing import content_hash
from saltus.store import Store, events
from saltus.store.place import Place, StoreError


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path / "s.saltus") if request.param == "disk" else Place(f"memory://{tmp_path.name}/s.saltus")


def test_events_are_chained_in_order(place: Place) -> None:
    for n in range(3):
        events.append(place, "run", subject="s", data={"n": n}, by="lab-a")
    found = events.read(place)
    assert [(e.seq, e.data["n"], e.by) for e in found] == [(0, 0, "lab-a"), (1, 1, "lab-a"), (2, 2, "lab-a")]
    assert [e.prev for e in found] == ["", found[0].own, found[1].own]
    assert events.head(place) == found[-1].own
    assert events.verify(place) == []


def test_a_strangers_hash_is_the_same(tmp_path: Path) -> None:
    """`self` is SHA-256 over the event's canonical JSON without `self` and `sig`."""
    place = Place(tmp_path)
    events.append(place, "locked", subject="s", data={"x": 0.5})
    body = json.loads((tmp_path / "events.jsonl").read_text())
    own = body.pop("self")
    assert own == content_hash(body)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"n":0', '"n":9'), *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [lines[0], "{", *lines[1:]],
        lambda lines: [lines[0], *lines],
    ],
)
def test_every_change_in_the_middle_shows(tmp_path: Path, change) -> None:
    place = Place(tmp_path)
    for n in range(3):
        events.append(place, "run", data={"n": n})
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")
    assert [b for b in events.verify(place) if not b.torn]


def test_what_a_kill_left_of_a_line_is_written_over(tmp_path: Path) -> None:
    place = Place(tmp_path)
    events.append(place, "run", data={"n": 0})
    file = tmp_path / "events.jsonl"
    file.write_bytes(file.read_bytes() + b'{"kind":"run","da')
    (torn,) = events.verify(place)
    assert torn.torn
    assert len(events.read(place)) == 1
    events.append(place, "run", data={"n": 1})
    assert [e.data["n"] for e in events.read(place)] == [0, 1]
    assert events.verify(place) == []


def test_writers_side_by_side_make_one_chain(tmp_path: Path) -> None:
    code = (
        "import sys; from saltus.store import events; from saltus.store.place import Place\n"
        "for n in range(40): events.append(Place(sys.argv[1]), 'run', data={'n': n}, by=sys.argv[2])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"]
    assert [w.wait(timeout=120) for w in writers] == [0, 0, 0]
    place = Place(tmp_path)
    assert len(events.read(place)) == 120
    assert events.verify(place) == []


def test_what_holds_on_every_run_is_told_once(place: Place) -> None:
    for what in ("a", "a", "b", "a"):
        events.note(place, "deviation", subject="s", data={"what": what})
    assert [e.data["what"] for e in events.read(place)] == ["a", "b"]


def test_keys_and_broken_text_do_not_reach_the_log(place: Place) -> None:
    events.append(place, "run", data={"api_key": "sk-1", "why": "half \ud83d", "url": "https://me:pw@host/x"})
    (event,) = events.read(place)
    assert event.data == {"api_key": "(not stored)", "why": "half �", "url": "https://host/x"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        events.append(Place(tmp_path / "file"), "run")


def test_the_store_verifies_its_events(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    store.mark()
    events.append(store.place, "run")
    events.append(store.place, "run")
    assert store.verify() == []
    file = tmp_path / "s.saltus" / "events.jsonl"
    file.write_text(file.read_text().replace('"seq":0', '"seq":7'))
    assert {p.severity for p in store.verify()} == {"damage"}
