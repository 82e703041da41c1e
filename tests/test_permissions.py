"""Permission to run what is read is the user's: refused with what to paste, granted by option, variable or file."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from saltus import permissions
from saltus.errors import UserError
from saltus.permissions import NotAllowed, allowed, grant, granted, require

BY = "the task `file:mine.py`"


@pytest.fixture(autouse=True)
def _nothing_granted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(permissions.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(permissions, "_answered", {})


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "my parts" / "mine.py"
    path.parent.mkdir()
    path.write_text("x = 1\n")
    return path


def test_the_refusal_names_an_option_that_works_when_pasted(mine: Path) -> None:
    import shlex

    with pytest.raises(NotAllowed) as refused:
        require("python", mine, wanted_by=BY)
    words = shlex.split(refused.value.do)
    assert words[:2] == ["add", "--allow"]
    with granted(words[2]):
        require("python", mine, wanted_by=BY)
    with pytest.raises(NotAllowed):
        require("python", mine, wanted_by=BY)


def test_a_folder_stands_for_everything_in_it_and_for_nothing_beside_it(mine: Path, tmp_path: Path) -> None:
    beside = tmp_path / "my parts too.py"
    beside.write_text("")
    with granted(f"python:{mine.parent}"):
        assert allowed("python", mine)
        assert not allowed("python", beside)
        assert not allowed("pickle-weights", mine)


def test_a_link_is_what_it_points_to(mine: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.py"
    link.symlink_to(mine)
    with granted(f"python:{tmp_path / 'elsewhere'}"):
        assert not allowed("python", link)
    with granted(f"python:{mine}"):
        assert allowed("python", link)


def test_the_trust_file_holds_until_the_file_changes(mine: Path) -> None:
    request = permissions.Request("python", mine.resolve(), permissions.digest([mine], mine.resolve()), BY)
    permissions.remember(request)
    require("python", mine, wanted_by=BY)
    mine.write_text("x = 2\n")
    with pytest.raises(NotAllowed):
        require("python", mine, wanted_by=BY)


def test_of_several_files_any_change_asks_again(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    files = [folder / "a.py", folder / "b.py"]
    for file in files:
        file.write_text("x = 1\n")
    request = permissions.Request(
        "trust-remote-code", folder.resolve(), permissions.digest(files, folder.resolve()), "the model"
    )
    permissions.remember(request)
    assert allowed("trust-remote-code", folder, files)
    files[1].write_text("x = 2\n")
    assert not allowed("trust-remote-code", folder, files)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ANSWERS = [("y", True, False), ("a", True, True), ("n", False, False), ("", False, False)]


@pytest.mark.parametrize(("answer", "runs", "kept"), ANSWERS)
def test_on_a_terminal_it_is_asked_once(
    mine: Path, monkeypatch: pytest.MonkeyPatch, answer: str, runs: bool, kept: bool
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    for _ in range(2):
        if runs:
            require("python", mine, wanted_by=BY)
        else:
            with pytest.raises(NotAllowed):
                require("python", mine, wanted_by=BY)
    question = shown.getvalue()
    assert question.count("Allow it?") == 1
    assert str(mine) in question
    assert "sha256:" in question
    assert permissions.trust_file().is_file() is kept


def test_grants_reach_processes_that_are_started(mine: Path) -> None:
    with granted():
        grant([f"python:{mine}"])
        grant([f"pickle-weights:{mine.parent}"])
        assert os.environ[permissions.VARIABLE].split(";") == [f"python:{mine}", f"pickle-weights:{mine.parent}"]
        assert permissions.carried() == os.environ[permissions.VARIABLE]
    assert permissions.VARIABLE not in os.environ


@pytest.mark.parametrize("text", ["python", "python:", "pyton:mine.py", ":mine.py"])
def test_a_malformed_option_is_explained(text: str) -> None:
    with pytest.raises(UserError, match=r"--allow"):
        grant([text])


@pytest.mark.parametrize("content", ["[[trust]\n", "[[trust]]\nkind = 'python'\n", "trust = 3\n"])
def test_an_unreadable_trust_file_is_named(mine: Path, content: str) -> None:
    path = permissions.trust_file()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError, match="trust file"):
        require("python", mine, wanted_by=BY)


def test_strange_names_survive_the_trust_file(tmp_path: Path) -> None:
    strange = tmp_path / 'a "quoted" \\ name\twith;signs.py'
    strange.write_text("x = 1\n")
    whole = strange.resolve()
    permissions.remember(permissions.Request("python", whole, permissions.digest([strange], whole), BY))
    assert allowed("python", strange)


def test_a_path_that_an_option_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=";"):
        grant([f"python:{tmp_path}/a;b.py"])
