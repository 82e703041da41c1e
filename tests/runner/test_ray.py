"""Runs on real local clusters: the same table as one process's, whatever dies meanwhile; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from saltus.conditions.baseline import Baseline
from saltus.errors import UserError
from saltus.runner.loop import Interrupted, Progress, RunSettings, run
from saltus.runner.ray import Ray
from saltus.store import Store
from saltus.store.writer import CommitPolicy
from saltus.testing import ToyTask
from saltus.testing.clusters import LocalCluster, local_cluster

from helpers.places import ROOT, python_path
from helpers.small_study import Shout, SmallStudy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

ROWS = 8
"""Answers per segment."""

MARK = "SALTUS_TEST_PROCESS"
"""A variable that every process of a cluster inherits, by which a test finds them."""


def ours(mark: str) -> list[psutil.Process]:
    """The processes that were started under a mark, without this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def assert_gone(mark: str) -> None:
    until = time.monotonic() + 20
    while (left := ours(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not left, f"still there: {[p.name() for p in left]}"


def assert_only_loopback(mark: str) -> None:
    processes = [*ours(mark), psutil.Process()]
    heard = [
        (process.name(), c.laddr.ip)
        for process in processes
        for c in process.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert {"gcs_server", "raylet"} <= {name for name, _ in heard}
    outside = [(name, ip) for name, ip in heard if ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")]
    assert not outside, f"reachable from other machines: {outside}"


@pytest.fixture(scope="module", autouse=True)
def mark() -> Iterator[str]:
    """Set while clusters of this module run; workers find the tests' own modules."""
    with pytest.MonkeyPatch.context() as patch:
        name = uuid.uuid4().hex
        patch.setenv(MARK, name)
        patch.setenv("PYTHONPATH", python_path())
        patch.setenv("OMP_NUM_THREADS", "1")
        yield name
    assert_gone(name)


@pytest.fixture(scope="module")
def everywhere(mark: str) -> Iterator[LocalCluster]:
    with local_cluster(machines=2) as cluster:
        yield cluster


@pytest.fixture
def cluster(everywhere: LocalCluster) -> LocalCluster:
    """Two machines, whatever the test before has killed."""
    while everywhere.machines < 2:
        everywhere.add()
    return everywhere


def study(folder: Path, sleep: float = 0.0, **faults: object) -> SmallStudy:
    """Three models, 40 items, two conditions, four choices: 960 answers, each noted when it is given."""
    return SmallStudy(
        (ToyTask(format="choices"),),
        ((Baseline(),), (Shout(),)),
        limit=40,
        points=3,
        options={"tally": str(folder / "tally"), "faults": {"sleep": sleep, **faults}},
    )


def whole(folder: Path, what: SmallStudy) -> Store:
    """A store in which the study ran undisturbed, in one process."""
    store = Store(folder / "whole" / "s.saltus")
    options = {k: v for k, v in what.options.items() if k not in ("tally", "faults")}
    run(replace(what, options=options), store)
    return store


def assert_same(got: Store, want: Store, what: SmallStudy) -> None:
    assert got.table(what).collect().equals(want.table(what).collect())
    items = [s.item_table(what).collect() for s in (got, want)]
    assert items[0].equals(items[1])


def given(folder: Path) -> Counter[str]:
    """How often each answer was given, by whatever process."""
    return Counter((folder / "tally").read_text().split())


SETTINGS = RunSettings(window=50, commit=CommitPolicy(most_rows=ROWS), tell_every=0.0)


def test_workers_give_the_table_of_one_process_and_ask_nothing_twice(
    cluster: LocalCluster, mark: str, tmp_path: Path
) -> None:
    what, store = study(tmp_path, sleep=0.001), Store(tmp_path / "s.saltus")
    seen: list[Progress] = []

    def tell(now: Progress) -> None:
        seen.append(now)
        if len(seen) == 1:
            assert_only_loopback(mark)

    report = run(what, store, executor=Ray(cluster.address), settings=SETTINGS, progress=tell)
    assert (report.asked, report.failures) == (960, [])
    assert set(given(tmp_path).values()) == {1}
    assert_same(store, whole(tmp_path, what), what)
    assert store.verify() == []
    assert len({s.writer for s in store.contents().segments}) == 2, "both workers wrote"
    assert (seen[-1].done, seen[-1].total, seen[-1].position, seen[-1].models) == (240, 240, 4, 4)
    assert any(0 < p.done < 240 for p in seen), "progress came before the end"
    again = run(what, store, executor=Ray(cluster.address))
    assert (again.asked, again.known) == (0, 240)


def test_the_table_is_the_same_when_a_machine_dies_in_mid_run(cluster: LocalCluster, tmp_path: Path) -> None:
    what, store = study(tmp_path, sleep=0.004), Store(tmp_path / "s.saltus")

    def tell(now: Progress) -> None:
        if now.done > 40 and cluster.machines == 2:
            cluster.kill()

    report = run(what, store, executor=Ray(cluster.address), settings=SETTINGS, progress=tell)
    assert cluster.machines == 1
    assert report.failures == []
    assert_same(store, whole(tmp_path, what), what)
    asked = given(tmp_path)
    assert len(asked) == 960
    assert asked.total() - 960 <= ROWS, "more than the segment in flight was asked again"
    assert {p.severity for p in store.verify()} <= {"stray", "torn"}


def test_a_model_that_kills_its_workers_is_a_failure_and_the_rest_goes_on(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    what, store = study(tmp_path, kill_at=20), Store(tmp_path / "s.saltus")
    executor = Ray(cluster.address, workers=1, retries=1)
    report = run(what, store, executor=executor, settings=SETTINGS)
    assert [m.error is not None for m in report.models] == [True] * 3
    assert all("its worker died 2 times" in line for line in report.failures)
    assert store.answers_count() == 3 * 2 * 16, "two segments of each worker's twenty answers"
    fixed = run(study(tmp_path), store, settings=SETTINGS)
    assert fixed.failed == 0
    assert_same(store, whole(tmp_path, what), what)


def test_bad_models_fail_as_they_do_in_one_process(cluster: LocalCluster, tmp_path: Path) -> None:
    what = study(tmp_path, raise_at=100)
    here, there = Store(tmp_path / "a" / "s.saltus"), Store(tmp_path / "b" / "s.saltus")
    settings = RunSettings(window=50)
    local = run(what, here, settings=settings)
    far = run(what, there, executor=Ray(cluster.address, workers=1), settings=settings)
    assert sorted(far.failures) == sorted(local.failures)
    assert far.asked == local.asked == 300
    assert_same(there, here, what)


def test_a_store_that_workers_cannot_see_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"memory://apart\.saltus.*is not to be seen"):
        run(study(tmp_path), Store("memory://apart.saltus"), executor=Ray(cluster.address))
    assert not (tmp_path / "tally").exists(), "nothing was asked"


def test_a_store_that_fails_ends_the_run_as_it_does_in_one_process(cluster: LocalCluster, tmp_path: Path) -> None:
    what, store = study(tmp_path, sleep=0.002), Store(tmp_path / "s.saltus")

    def tell(now: Progress) -> None:
        if now.done > 30 and not (tmp_path / "taken").exists():
            (tmp_path / "s.saltus" / "segments").rename(tmp_path / "taken")
            (tmp_path / "s.saltus" / "segments").write_text("not a folder")

    with pytest.raises(UserError, match="cannot be written") as failed:
        run(what, store, executor=Ray(cluster.address), settings=SETTINGS, progress=tell)
    assert type(failed.value).__name__ == "StoreError"


def test_an_interruption_of_the_driver_stores_what_was_answered(cluster: LocalCluster, tmp_path: Path) -> None:
    what, store = study(tmp_path, sleep=0.002), Store(tmp_path / "s.saltus")

    def stop(now: Progress) -> None:
        if now.done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run(what, store, executor=Ray(cluster.address), progress=stop)  # no segment ends by itself
    asked = given(tmp_path)
    assert 0 < asked.total() < 960
    assert store.answers_count() == asked.total() == caught.value.report.asked
    assert run(what, store, executor=Ray(cluster.address)).asked == 960 - asked.total()
    assert_same(store, whole(tmp_path, what), what)


DOCUMENT = """
study: on a cluster
models: [{{from: "scripted:leap", points: 4, tally: {tally}, faults: {{sleep: 0.004}}}}]
tasks: [addition]
limit: 200
"""


def test_ctrl_c_at_the_command_line_and_the_same_command_again(cluster: LocalCluster, tmp_path: Path) -> None:
    document = tmp_path / "study.yaml"
    document.write_text(DOCUMENT.format(tally=tmp_path / "tally"))
    saltus = str(Path(sys.executable).with_name("saltus"))
    command = [saltus, "run", str(document), "--on", f"ray:{cluster.address}", "--workers", "2"]
    driver = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "tally").exists() or len(given(tmp_path)) < 30:
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGINT)  # what a terminal sends to everybody in the foreground
    _, message = driver.communicate(timeout=60)
    assert driver.returncode == 130, message
    assert "What was answered is stored" in message
    store = Store(tmp_path / "study.saltus")
    stopped = given(tmp_path).total()
    assert store.answers_count() == stopped < 800
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["failures"] == []
    assert set(given(tmp_path).values()) == {1}
    assert store.answers_count() == 800


def test_a_killed_driver_changes_no_number_and_costs_the_segments_in_flight() -> None:
    script = ROOT / "benchmarks" / "kills.py"
    command = [sys.executable, str(script), "--kills", "4", "--on", "ray"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message = json.loads(done.stdout.splitlines()[-1])["runs"]["ray"]
    assert (message["kills"], message["identical"], message["damage"]) == (4, True, False)
    assert message["while_asking"] > 0
    assert message["given_twice"] <= message["in_flight_at_most"]


def test_a_private_cluster_is_this_machines_alone_and_goes_with_the_run(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = uuid.uuid4().hex
    monkeypatch.setenv(MARK, name)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    what, store = study(tmp_path), Store(tmp_path / "s.saltus")
    checked: list[bool] = []

    def tell(now: Progress) -> None:
        if not checked:
            assert_only_loopback(name)
            checked.append(True)

    report = run(what, store, executor=Ray("local", workers=2), progress=tell)
    assert (report.asked, checked) == (960, [True])
    assert_same(store, whole(tmp_path, what), what)
    assert_gone(name)


def test_an_address_where_nothing_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Ray cluster answers"):
        run(study(tmp_path), Store(tmp_path / "s.saltus"), executor=Ray("127.0.0.1:9"))
