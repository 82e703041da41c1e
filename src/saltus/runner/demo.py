"""`saltus demo`: the main job on real trained networks, from nothing to a report.

The study it runs is an ordinary document, `studies/demo.yaml` in this package; it is copied to the output folder,
locked and run there like anybody's. Its networks are trained first, two at a time, and cached for the next time.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path

from saltus.errors import UserError
from saltus.runner.open import lock_study
from saltus.study import document as studies
from saltus.study.lock import read_lock
from saltus.zoo.adapter import WORKERS, shown
from saltus.zoo.cache import train_all


def prepare(out: Path, *, show: bool = True) -> Path:
    """Writes the study to `out/demo.yaml`, locks it, trains what its series lack, and returns the document's path.

    Raises UserError where the folder cannot be written or torch is missing.
    """
    text = files("saltus").joinpath("studies/demo.yaml").read_text(encoding="utf-8")
    document = out / "demo.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        document.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write there: {error}", where=str(out), do="saltus demo --out FOLDER") from error
    study = studies.load(document)
    if read_lock(document) is None:  # an older lock stays: what was changed since is reported when asking
        lock_study(document)
    names = [e.source for e in study.entries() if e.scheme == "zoo"]
    with shown() if show else nullcontext() as tell:
        # All at once rather than series by series, so that no core waits.
        train_all(names, workers=WORKERS, progress=tell)
    return document
