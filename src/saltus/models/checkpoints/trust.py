"""Whether what lies in a checkpoint may run or be unpickled: the user's word, see `saltus.permissions`."""

from __future__ import annotations

from pathlib import Path

from saltus import permissions
from saltus.models.checkpoints.weights import Checkpoint
from saltus.records import AskPolicy


def trusts_code(folder: Path, ask: AskPolicy) -> bool:
    """Whether the Python files of a model's or tokenizer's folder may run.

    Raises NotAllowed where the study says that it needs them and the user has not allowed it; without either they are
    left alone, which is what nearly every checkpoint wants.
    """
    inside = folder if folder.is_dir() else folder.parent
    files = sorted(inside.rglob("*.py"))
    if files and "trust-remote-code" in ask.allow:
        permissions.require("trust-remote-code", inside, files, wanted_by=f"the model {folder}")
    return bool(files) and permissions.allowed("trust-remote-code", inside, files)


def permit_pickles(checkpoint: Checkpoint) -> None:
    """Raises NotAllowed where the weights are there in pickle form only and the user has not allowed that."""
    if not checkpoint.weight_files:
        wanted_by = f"the model {checkpoint.folder}, whose weights are {checkpoint.pickles[0].name},"
        permissions.require("pickle-weights", checkpoint.network, checkpoint.pickles, wanted_by=wanted_by)


def hint(folder: Path) -> str:
    """What to type where a library asks for permission to run a repository's code."""
    inside = folder if folder.is_dir() else folder.parent
    return f"to run the code in its repository, read it, then add {permissions.option('trust-remote-code', inside)}"
