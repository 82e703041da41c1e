"""Where things lie: the repository, its test data, and the folder of material beside a checkout, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DATA_FOLDER = TESTS / "data"
SHARED = ROOT.parent / "shared"


def python_path() -> str:
    """PYTHONPATH for other processes that import what tests share."""
    return os.pathsep.join(p for p in (str(TESTS), os.environ.get("PYTHONPATH")) if p)
