"""Whatever a published file lacks or has of another type: numbers come out, or a UserError, never a traceback."""

import copy
import json
import random
import shutil

import pytest

from saltus.errors import UserError
from saltus.results.read import read

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER / "published"
FILES = {
    "inspect": "inspect/arc_qwen.json",
    "record": "every_eval_ever/f3a1c0de-4b2e-4c1a-9f6d-1b7e5a2c8d40.json",
    "lighteval": "lighteval/results/eee-smoke/dummy-model/results_2026-08-10T17-22-11.385681.json",
    "helm run": "helm/run_spec.json",
    "helm items": "helm/per_instance_stats.json",
    "helm statistics": "helm/stats.json",
}
OTHER = [None, "", "x", -1, 0.5, [], {}, [1], {"a": 1}, True, "1e400", [None], [[]]]


def mutated(value, rng: random.Random):
    """A copy with one part, at any depth, dropped or replaced."""
    value = copy.deepcopy(value)
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return value
        key = rng.choice(keys)
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
            at = at[key]
            continue
        if rng.random() < 0.4:
            del at[key]
        else:
            at[key] = rng.choice(OTHER)
        return value


@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file_is_read_or_refused(tmp_path, name):
    rng = random.Random(name)
    path = DATA / FILES[name]
    folder = tmp_path / "in"
    shutil.copytree(path.parent, folder)
    original = json.loads(path.read_text())
    ways = set()
    for _ in range(80):
        changed = original
        for _ in range(rng.choice([1, 1, 3])):
            changed = mutated(changed, rng)
        (folder / path.name).write_text(json.dumps(changed))
        try:
            table = read([folder / path.name]).table
            usable = table["value"].drop_nulls()
            assert usable.is_finite().all()
            assert table.filter(table["value"].is_null())["why_missing"].null_count() == 0
            ways.add("read")
        except UserError as error:
            ways.add("refused" if error.where else "refused without saying where")
    assert "refused" in ways
    assert ways <= {"read", "refused"}
