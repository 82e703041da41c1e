"""Tests of tasks share the harness's tasks of `tests/harness_tasks.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
