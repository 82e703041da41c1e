"""The house rules of design.md sections 3 and 9, and of style.md, as checks on the source itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "saltus"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

# Who may import whom: a module may import what stands in its own line or an earlier one of its chain.
CHAINS = (
    ("records", "study", "models tasks conditions network scoring store", "run"),
    ("stats", "checks", "verdict", "report", "cli"),
)
TORCH_ROOMS = ("models", "network", "zoo")


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def imports(tree: ast.AST) -> set[str]:
    """Every module imported at run time, at module level or inside functions; types only do not count."""
    types_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in types_only:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{a.name}" for a in node.names}
    return found


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_why_it_exists_and_stays_small(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), f"{path} has no docstring"
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{path} has {lines} lines: split it by idea"


def test_functions_can_be_seen_at_once() -> None:
    lengths = sorted(
        f.end_lineno - f.lineno + 1
        for tree in TREES.values()
        for f in functions(tree)
        if f.end_lineno
    )
    assert lengths[int(0.95 * len(lengths))] <= 50
    assert lengths[-1] <= 90


def test_functions_take_few_arguments() -> None:
    many = [
        f"{name_of(path)}.{f.name}"
        for path, tree in TREES.items()
        for f in functions(tree)
        # The command line's functions are its options.
        if name_of(path) != "cli" and not name_of(path).startswith("cli.")
        and len([a for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)
                 if a.arg not in ("self", "cls")]) > 8
    ]  # fmt: skip
    assert not many, f"more than 8 arguments: {many}"


@pytest.mark.parametrize("chain", CHAINS, ids=lambda c: c[0])
def test_imports_point_one_way(chain: tuple[str, ...]) -> None:
    rank = {room: i for i, rooms in enumerate(chain) for room in rooms.split()}
    wrong = []
    for path, tree in TREES.items():
        here = rank.get(name_of(path).split(".")[0])
        for imported in imports(tree):
            there = rank.get(imported.removeprefix("saltus.").split(".")[0])
            if (
                imported.startswith("saltus.")
                and here is not None
                and there is not None
                and there > here
            ):
                wrong.append(f"{name_of(path)} imports {imported}")
    assert not wrong


def test_statistics_know_nothing_of_models() -> None:
    rooms = ("models", "tasks", "conditions", "store", "run", "zoo")
    wrong = [
        f"{name_of(path)} imports {m}"
        for path, tree in TREES.items()
        if name_of(path).split(".")[0] in ("stats", "checks")
        for m in imports(tree)
        if m.removeprefix("saltus.").split(".")[0] in rooms and m.startswith("saltus.")
    ]
    assert not wrong


def test_torch_stays_in_its_rooms() -> None:
    wrong = [
        name_of(path)
        for path, tree in TREES.items()
        if any(m.split(".")[0] in ("torch", "transformers") for m in imports(tree))
        and name_of(path).split(".")[0] not in TORCH_ROOMS
    ]
    assert not wrong


def test_no_global_randomness_and_no_printing() -> None:
    wrong = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if re.search(
            r"np\.random\.(seed|rand|randn|normal|uniform|choice|shuffle)\(|^import random",
            text,
            re.M,
        ):
            wrong.append(f"{name_of(path)}: global randomness")
        # A module run as a program (python -m …, to write a shipped file) may say what it wrote.
        if re.search(r"^\s*print\(", text.split("def main(")[0].split("if __name__")[0], re.M):
            wrong.append(f"{name_of(path)}: print")
    assert not wrong


def test_no_bare_or_silent_except() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)))
    ]
    assert not wrong


def test_raises_carry_a_message() -> None:
    silent = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        and not node.exc.args and not node.exc.keywords
    ]  # fmt: skip
    assert not silent


def test_public_names_are_few_and_lazy() -> None:
    code = (
        "import sys, saltus; heavy = {'torch','transformers','scipy','altair','polars','pydantic'} & set(sys.modules);"
        "print(sorted(heavy)); print(len(saltus.__all__))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, count = out.stdout.splitlines()
    assert heavy == "[]"
    assert int(count) <= 15


def test_every_entry_point_of_ours_loads_without_torch() -> None:
    code = (
        "import sys\nfrom saltus import plugins\n"
        "for kind in ('tasks', 'conditions', 'checks', 'models'):\n"
        "    for name in plugins.names(kind): plugins.load(kind, name)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
