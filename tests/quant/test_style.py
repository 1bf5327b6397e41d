"""Rules for the text and the size of the code that no linter checks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("quant", "jobs", "worker", "service", "client")
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
RIDDLE = re.compile(r"(What|How|Whether)\b")
VAGUE_NAMES = {"done", "found", "kept", "made", "one", "own", "told", "wanted", "way"}

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def sources(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def place(path: Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def texts_below(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield every docstring, also those below constants and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node, node.value.value


def public_without_docstring(node: Documented, name: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield the public modules, classes, functions and methods at and below `node` that have no docstring."""
    if ast.get_docstring(node) is None:
        yield node, name
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, Documented) and not child.name.startswith("_"):
                yield from public_without_docstring(child, f"{name}.{child.name}")


def assigned_names(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield the names of variables, parameters, attributes and functions that a module defines."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.alias(asname=str(name)):
                yield node, name


@pytest.mark.parametrize("package", [*PACKAGES, "tests", "benchmarks", "examples", "docs"])
def test_no_docstring_is_a_riddle(package):
    riddles = [
        f"{place(path, node)} {text.strip().splitlines()[0]}"
        for path in sources(package)
        for node, text in texts_below(parse(path))
        if RIDDLE.match(text.strip())
    ]
    assert not riddles, "\n".join(["begin with a noun phrase or an imperative:", *riddles])


def test_every_public_name_of_the_library_has_a_docstring():
    missing = [
        f"{place(path, node)} {name}"
        for path in sources("quant")
        if path.name not in ("__main__.py",)
        for node, name in public_without_docstring(parse(path), path.stem)
    ]
    assert not missing, "\n".join(["public names without a docstring:", *missing])


def test_names_of_the_library_say_what_they_hold():
    vague = [
        f"{place(path, node)} {name}"
        for path in sources("quant")
        for node, name in assigned_names(parse(path))
        if name in VAGUE_NAMES
    ]
    assert not vague, "\n".join(["name the thing:", *vague])


def test_files_are_short():
    lengths = {place(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES)}
    assert not {path: length for path, length in lengths.items() if length > LONGEST_FILE}


def test_functions_are_short():
    lengths = {
        f"{place(path, node)} {node.name}": node.end_lineno - node.lineno + 1
        for path in sources(*PACKAGES)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}
