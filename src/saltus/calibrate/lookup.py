"""Makes the file of error rates that ships with a release: `python -m saltus.calibrate.lookup`.

Findings read it through `saltus.judging.error_rates`, which imports nothing of this package.
"""

from __future__ import annotations

from pathlib import Path

from saltus.calibrate.measure import calibrate


def ship(path: Path | None = None, *, n: int = 20_000, seed: int = 17) -> Path:
    """Calibrate anew and write the file that the release ships. Takes minutes."""
    path = path or Path(__file__).parents[1] / "calibration" / "calibration.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(calibrate(n, seed, power_curves=50).to_json(), "utf-8")
    return path


if __name__ == "__main__":
    print(ship())
