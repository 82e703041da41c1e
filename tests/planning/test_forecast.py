"""`saltus forecast` on tables: forecasts with a record, refusals with a reason, mistakes with what to type."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from saltus.errors import UserError
from saltus.planning.curves import parse_at
from saltus.planning.forecast import forecast


def table(path: Path, *, tasks: int = 12, seed: int = 0, kind: str = "rise") -> Path:
    """A family of ten models on several tasks, accuracies of 1,000 items."""
    rng = np.random.default_rng(seed)
    lines = ["family,model,params,tokens,flops,task,metric,value,n_items,floor"]
    for t in range(tasks):
        middle = rng.uniform(22.0, 24.0)
        for i, flops in enumerate(np.linspace(20.0, 23.6, 10)):
            share = 1 / (1 + np.exp(-1.2 * (flops - middle))) if kind == "rise" else 0.0
            value = rng.binomial(1000, 0.25 + 0.75 * share) / 1000
            size = 10 ** (flops / 2 - 2)
            lines.append(f"fam,m{i},{size},{10**flops / 6 / size},{10**flops},task{t},acc,{value},1000,0.25")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rising_scores_are_foretold_and_the_record_says_so(tmp_path: Path) -> None:
    found = forecast([table(tmp_path / "r.csv")], "flops=1e24")
    assert len(found) == 12
    made = [f for f in found if f.declined is None]
    assert len(made) >= 9
    inside = 0
    rng = np.random.default_rng(0)
    truths = {}
    for t in range(12):
        middle = rng.uniform(22.0, 24.0)
        rng.binomial(1000, [0.25 + 0.75 / (1 + np.exp(-1.2 * (f - middle))) for f in np.linspace(20.0, 23.6, 10)])
        truths[f"task{t}"] = 0.25 + 0.75 / (1 + np.exp(-1.2 * (24.0 - middle)))
    for f in made:
        assert f.low is not None
        assert f.high is not None
        assert f.value is not None
        assert f.low <= f.value <= f.high
        inside += f.low <= truths[f.task] <= f.high
        record = next(r for r in f.records if r.method == f.method)
        assert record.trials >= 3
        assert record.judged is not None
        assert record.judged < 0.9
    assert inside >= len(made) - 1


def test_flat_scores_are_declined(tmp_path: Path) -> None:
    found = forecast([table(tmp_path / "f.csv", kind="flat")], "flops=1e24")
    declined = [f for f in found if f.declined]
    assert len(declined) >= 10
    assert all(f.value is None for f in declined)
    assert any("last value" in (f.declined or "") for f in declined)


def test_a_scale_far_beyond_any_record_is_declined(tmp_path: Path) -> None:
    (one, *_) = forecast([table(tmp_path / "r.csv")], "flops=1e35", tasks=["task0"])
    assert one.value is None
    assert "no record" in (one.declined or "")


def test_a_scale_that_was_run_is_declined(tmp_path: Path) -> None:
    (one,) = forecast([table(tmp_path / "r.csv")], "flops=1e21", tasks=["task0"])
    assert "has been run" in (one.declined or "")


@pytest.mark.parametrize(
    ("at", "message"),
    [("1e12", "AXIS=VALUE"), ("tokns=1e12", "tokens"), ("tokens=many", "a number"), ("tokens=-1", "above 0")],
)
def test_mistakes_in_at_are_told(at: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_at(at)


def test_sizes_are_read_as_people_write_them() -> None:
    assert parse_at("params=70B") == ("params", 7e10)


def test_unknown_names_get_the_nearest(tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv")
    with pytest.raises(UserError, match="task1"):
        forecast([path], "flops=1e24", tasks=["tsk1"])
    with pytest.raises(UserError, match="--only"):
        forecast([path], "flops=1e24", only=["nothing"])
    with pytest.raises(UserError, match="no curve runs along loss"):
        forecast([path], "loss=1.5")


def test_the_command_prints_tables_and_json(tmp_path: Path) -> None:
    import typer

    from saltus.cli.planning import register

    app = typer.Typer()
    register(app)
    path = str(table(tmp_path / "r.csv", tasks=8))
    run = CliRunner().invoke(app, ["forecast", path, "--at", "flops=1e24"])
    assert run.exit_code == 0
    assert "95 % interval" in run.output
    run = CliRunner().invoke(app, ["forecast", path, "--at", "flops=1e24", "--json"])
    data = json.loads(run.output)
    assert len(data) == 8
    assert {"value", "declined", "records"} <= set(data[0])
