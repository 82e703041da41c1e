"""What is released: a wheel and an sdist of one version, each with every file it needs and none that it does not."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

import pytest

import saltus as source
from saltus import plugins

from helpers.built import install, saltus
from helpers.places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("built")]


@pytest.fixture(scope="module")
def released(built: Path) -> tuple[Path, Path]:
    """(wheel, sdist)."""
    (wheel,), (sdist,) = (built / "dist").glob("*.whl"), (built / "dist").glob("*.tar.gz")
    return wheel, sdist


def test_both_carry_the_version_and_the_licence(released: tuple[Path, Path]) -> None:
    wheel, sdist = released
    version = source.__version__
    assert re.fullmatch(rf"saltus-{re.escape(version)}-py3-none-any\.whl", wheel.name)
    assert sdist.name == f"saltus-{version}.tar.gz"
    assert any(n.endswith("/licenses/LICENSE") for n in zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert f"saltus-{version}/LICENSE" in names
    assert not [n for n in names if "/tests/" in n or n.endswith(".pyc")]


def test_the_wheel_of_the_sdist_holds_the_same_files(released: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = (install(what, tmp_path / kind) for what, kind in zip(released, ("wheel", "sdist"), strict=True))
    files = [
        {p.relative_to(folder).as_posix() for p in (folder / "saltus").rglob("*") if p.is_file() and p.suffix != ".pyc"}
        for folder in (wheel, sdist)
    ]
    assert files[0] == files[1]
    ours = {
        f"saltus/{p.relative_to(ROOT / 'src' / 'saltus').as_posix()}"
        for p in (ROOT / "src" / "saltus").rglob("*")
        if p.is_file() and p.suffix != ".pyc"
    }
    assert files[0] == ours


def test_every_command_and_part_works_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert saltus(installed, tmp_path, "--version").stdout.split()[-1] == source.__version__
    for command in (*plugins.KINDS, "zoo"):
        done = saltus(installed, tmp_path, command, "--json")
        assert done.returncode == 0, done.stderr
        assert "cannot be imported" not in done.stdout
    assert saltus(installed, tmp_path, "new", "mine").returncode == 0
    done = saltus(installed, tmp_path, "run", "scripted:leap", "--task", "addition", "--limit", "20")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scripted-leap.saltus" / "report.html").exists()


def test_the_readme_and_the_changelog_name_this_version() -> None:
    version = source.__version__
    assert f"dist/saltus-{version}-py3-none-any.whl" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
