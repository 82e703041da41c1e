"""What tests of several rooms ask for by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saltus import permissions

from helpers.built import build, install


@pytest.fixture
def files_allowed(tmp_path: Path) -> Iterator[None]:
    """The test's own Python files may run: its user has allowed them."""
    with permissions.granted(f"python:{tmp_path}"):
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `dist` holds the wheel and the sdist of this tree."""
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    return folder


@pytest.fixture(scope="session")
def installed(built: Path) -> Path:
    """A folder that holds what the wheel installs, and nothing of the source tree."""
    (wheel,) = (built / "dist").glob("saltus-*.whl")
    return install(wheel, built / "installed")
