"""saltus measures whether behaviours of large deep models emerge, with stated error rates.

    study = saltus.load("study.yaml")
    store = saltus.Store("study.saltus")
    saltus.run(study, store)
    analysed = saltus.analyze(study, store)      # or saltus.analyze("results/*.json")
    analysed.findings                            # shows itself in a notebook; .to_frame()
    saltus.report(analysed, "out")

Names are imported when first used, so `import saltus` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saltus._version import __version__

if TYPE_CHECKING:
    from saltus.analysis.analyze import analyze as analyze
    from saltus.analysis.analyze import write as report  # noqa: F401
    from saltus.errors import UserError as UserError
    from saltus.judging.findings import Findings as Findings
    from saltus.records import Evidence as Evidence
    from saltus.records import Finding as Finding
    from saltus.runner.loop import run as run
    from saltus.store import Store as Store
    from saltus.study.document import load as load

_HOMES = {
    "load": ("saltus.study.document", "load"),
    "Store": ("saltus.store", "Store"),
    "run": ("saltus.runner.loop", "run"),
    "analyze": ("saltus.analysis.analyze", "analyze"),
    "report": ("saltus.analysis.analyze", "write"),
    "Findings": ("saltus.judging.findings", "Findings"),
    "Finding": ("saltus.records", "Finding"),
    "Evidence": ("saltus.records", "Evidence"),
    "UserError": ("saltus.errors", "UserError"),
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `saltus` has no attribute `{name}`")
    module, attribute = _HOMES[name]
    found = getattr(import_module(module), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
