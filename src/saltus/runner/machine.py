"""What machine and software a run used, for provenance; imports none of it."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("saltus", "numpy", "polars", "pyarrow", "torch", "transformers", "tokenizers")


@cache
def host() -> dict[str, Any]:
    """Node, cpu model, cores, memory in bytes, system, python and package versions."""
    return {
        "node": platform.node(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
