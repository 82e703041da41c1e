"""The house rules of AGENTS.md and docs/design.md, as checks on the source itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from helpers.places import ROOT, TESTS

SOURCE = ROOT / "src" / "saltus"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

GROUND = (
    *("_version", "records", "errors", "hashing", "plugins", "permissions", "documents", "metrics", "scoring"),
    *("settings", "verdict"),
)
LEVELS = (
    GROUND,
    ["stats", "results", "models", "page"],
    ["checks", "tasks", "curves"],
    ["judging", "conditions", "zoo", "store", "network"],
    ["study", "calibrate"],
    ["runner"],
    ["analysis", "export", "testing", "lm_eval"],
    ["planning", "govern"],
    ["watch", "review"],
    ["cli", "web"],
)
"""A room imports itself, and rooms of earlier levels; files of the ground floor import each other. `lm_eval` is a file
at the top because `saltus.lm_eval.SaltusLM` is a published path."""
LEVEL = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
ALLOWED = {
    ("records", "page.notebook"): "a finding shows itself in a notebook",
    ("records", "page.charts"): "a finding draws itself",
}
"""Imports against the order, each with its reason."""
OTHER_TESTS = {"helpers", "data", "docs", "attack", "journeys"}
TORCH_ROOMS = ("models", "network", "zoo")


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


NAMES = {name_of(path) for path in MODULES}


def imports(tree: ast.AST) -> set[str]:
    """Every module imported: when loaded, late inside a function, or for types only."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{a.name}" for a in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """The modules of saltus that a module names, the most exact name of each."""
    out = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            out |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{a.name}" for a in node.names}
            exact = {n for n in names if n.removeprefix("saltus.") in NAMES}
            out |= exact | ({node.module} if len(exact) < len(names) else set())
    return {n.removeprefix("saltus").lstrip(".") for n in out if n.split(".")[0] == "saltus"}


def edges() -> Iterator[tuple[str, str]]:
    """(module, module it imports), the package's own `__init__` and the allowed exceptions left out."""
    for path in MODULES:
        here = name_of(path)
        if here:
            yield from ((here, there) for there in sorted(own_imports(path)) if (here, there) not in ALLOWED)


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_why_it_exists_and_stays_small(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), f"{path} has no docstring"
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{path} has {lines} lines: split it by idea"


def test_functions_can_be_seen_at_once() -> None:
    lengths = sorted(f.end_lineno - f.lineno + 1 for tree in TREES.values() for f in functions(tree) if f.end_lineno)
    assert lengths[int(0.95 * len(lengths))] <= 50
    assert lengths[-1] <= 90


def test_functions_take_few_arguments() -> None:
    many = [
        f"{name_of(path)}.{f.name}"
        for path, tree in TREES.items()
        for f in functions(tree)
        # The command line's functions are its options.
        if name_of(path) != "cli"
        and not name_of(path).startswith("cli.")
        and len([a for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs) if a.arg not in ("self", "cls")])
        > 8
    ]
    assert not many, f"more than 8 arguments: {many}"


def test_every_room_has_its_level() -> None:
    rooms = {name.split(".")[0] for name in NAMES if name}
    assert not rooms - LEVEL.keys(), "give the room a level here and in AGENTS.md"
    files = {name for name in NAMES if name and (SOURCE / f"{name}.py").is_file()}
    assert files - {"lm_eval"} <= set(GROUND), "the ground floor grows only with a reason"


def test_imports_point_one_way() -> None:
    wrong = [
        f"{here} imports {there}"
        for here, there in edges()
        if there == ""
        or LEVEL[there.split(".")[0]] > LEVEL[here.split(".")[0]]
        or (LEVEL[there.split(".")[0]] == LEVEL[here.split(".")[0]] > 0 and there.split(".")[0] != here.split(".")[0])
    ]
    assert not wrong


def test_no_circle() -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for here, there in edges():
        if here != there:
            sorter.add(here, there)
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_every_allowed_exception_is_needed() -> None:
    paths = {name_of(path): path for path in MODULES}
    for here, there in ALLOWED:
        assert there in own_imports(paths[here]), f"{here} no longer imports {there}: take it out of ALLOWED"


def test_tests_stand_where_the_code_stands() -> None:
    folders = {p.parent.relative_to(TESTS).as_posix() for p in TESTS.rglob("test_*.py")} - {"."}
    strange = {f for f in folders if not (SOURCE / f).is_dir() and f.split("/")[0] not in OTHER_TESTS}
    assert not strange


def test_no_line_is_kept_from_the_formatter() -> None:
    here = Path(__file__)
    files = [p for d in ("src", "tests", "benchmarks") for p in (ROOT / d).rglob("*.py") if p != here]
    assert not [str(p) for p in files if "fmt: " + "skip" in p.read_text(encoding="utf-8")]


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
        if re.search(r"np\.random\.(seed|rand|randn|normal|uniform|choice|shuffle)\(|^import random", text, re.M):
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
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and not node.exc.args
        and not node.exc.keywords
    ]
    assert not silent


DIALECT = frozenset({"told", "said", "mend", "mends", "mended", "foretold"})
"""Words that once named seven things each; AGENTS.md has the plain ones."""


def names_in(tree: ast.AST) -> set[str]:
    """What the file names: variables, arguments, attributes, functions and classes; tests may be named as they like."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ClassDef) or (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("test_")
        ):
            found.add(node.name)
    return found


def prose_in(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and string, docstrings among them."""
    texts = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type in texts:
                yield token.start[0], token.string


def test_names_are_plain() -> None:
    trees = TREES | {path: ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "tests").rglob("*.py"))}
    assert not [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in trees.items()
        for name in sorted(names_in(tree))
        if DIALECT & set(name.lower().split("_"))
    ]


def test_source_texts_are_plain() -> None:
    words = re.compile(rf"\b({'|'.join(sorted(DIALECT))})\b", re.IGNORECASE)
    assert not [
        f"{path.relative_to(ROOT)}:{line}: {found[0]}"
        for path in MODULES
        for line, text in prose_in(path)
        for found in words.finditer(text)
    ]


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
        "for kind in plugins.KINDS:\n"
        "    for name in plugins.names(kind): plugins.load(kind, name)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
