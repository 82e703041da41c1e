"""What tests of several rooms ask for by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saltus import permissions


@pytest.fixture
def files_allowed(tmp_path: Path) -> Iterator[None]:
    """The test's own Python files may run: its user has allowed them."""
    with permissions.granted(f"python:{tmp_path}"):
        yield
