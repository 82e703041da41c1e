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

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from saltus.analyze import analyze as analyze
    from saltus.analyze import write as report  # noqa: F401
    from saltus.errors import UserError as UserError
    from saltus.findings import Findings as Findings
    from saltus.records import Evidence as Evidence
    from saltus.records import Finding as Finding
    from saltus.run import run as run
    from saltus.store import Store as Store
    from saltus.study import load as load

_HOMES = {
    "load": ("saltus.study", "load"),
    "Store": ("saltus.store", "Store"),
    "run": ("saltus.run", "run"),
    "analyze": ("saltus.analyze", "analyze"),
    "report": ("saltus.analyze", "write"),
    "Findings": ("saltus.findings", "Findings"),
    "Finding": ("saltus.records", "Finding"),
    "Evidence": ("saltus.records", "Evidence"),
    "UserError": ("saltus.errors", "UserError"),
}

__all__ = ["__version__", *_HOMES]


class _Package(ModuleType):
    """Keeps `saltus.run` the function although a module of that name exists: importing a submodule would bind it
    to the package under its own name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module `saltus` has no attribute `{name}`")
        module, attribute = _HOMES[name]
        found = getattr(import_module(module), attribute)
        super().__setattr__(name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*__all__, *super().__dir__()})


sys.modules[__name__].__class__ = _Package
