"""Looking through a TorchScript archive before torch opens it: a tripwire for what no model needs.

Loading and running TorchScript runs its code, and some of its operators read and write files. The boundary is the
sandbox that a job runs in; this refuses, with a reason, what would be stopped there without one.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from quant.errors import UnreadableModel, UnsafeModel, UnsupportedFormat, UnsupportedTorchScript
from quant.graph.load.archive import ALWAYS_ALLOWED, CHUNK, MAX_RATIO, check_members, readable
from quant.graph.load.traced_inputs import read_traced_inputs

MAX_SOURCE = 1 << 24
ACCEPTED = "a module saved by torch.jit.save after torch.jit.trace or torch.jit.script"
FORBIDDEN = frozenset({"from_file", "save", "load", "load_tensor"})
"""Operators that reach files; as names, attributes or strings given to getattr."""
HOOKS = frozenset({"__setstate__", "__getstate__"})
"""Methods that run while a module is loaded or saved."""
_NAMESPACES = frozenset({"aten", "prim", "onnx"})


@dataclass(frozen=True)
class Vetted:
    """An archive that may be opened: a fresh copy of what was looked at, and the traced arguments, None without."""

    path: Path
    arguments: list[Any] | None


def is_torchscript(names: Iterable[str]) -> bool:
    """Whether a zip of these names is a file of PyTorch: `<root>/data.pkl` is in it."""
    return any(len(parts := PurePosixPath(name).parts) == 2 and parts[1] == "data.pkl" for name in names)


def vet(upload: Path, folder: Path) -> Vetted:
    """Check the archive and its code, and copy what torch needs of it into `folder`.

    Raises:
        UnsafeModel: its code reaches files, runs at load, or calls custom operators; or it is a bomb.
        UnsupportedFormat: a checkpoint of weights without code.
        UnreadableModel: it is damaged.
    """
    copy, arguments = folder / "module.pt", None
    with readable(ACCEPTED), ZipFile(upload) as archive, ZipFile(copy, "w", ZIP_STORED) as kept:
        members = check_members(archive, max(MAX_RATIO * upload.stat().st_size, ALWAYS_ALLOWED))
        names = [member.filename for member in members]
        (root,) = {PurePosixPath(name).parts[0] for name in names}
        if f"{root}/constants.pkl" not in names:
            raise UnsupportedFormat(f"the file is a PyTorch checkpoint: weights without code; accepted: {ACCEPTED}")
        for member in members:
            inner = member.filename.removeprefix(f"{root}/")
            if inner == "traced_inputs.pkl":
                arguments = read_traced_inputs(archive.read(member))
            if inner.startswith(("traced_inputs", "extra/")) or inner.endswith(".debug_pkl"):
                continue
            if inner.startswith("code/") or inner.casefold().endswith(".py"):
                source = _text(archive.read(member), inner)
                check_source(source, inner)
                kept.writestr(member.filename, source)
                continue
            with archive.open(member) as source_file, kept.open(member.filename, "w", force_zip64=True) as target:
                while chunk := source_file.read(CHUNK):
                    target.write(chunk)
    return Vetted(copy, arguments)


def check_source(source: str, where: str) -> None:
    """Check one file of a TorchScript archive's `code/`.

    Raises:
        UnsafeModel: it names a forbidden operator, a method that runs at load, or a namespace of custom operators.
        UnsupportedTorchScript: the module is already quantized.
        UnreadableModel: it is no TorchScript source.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableModel(f"{where} is no TorchScript source ({type(error).__name__})") from None
    allowed = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in _NAMESPACES
    }
    for node in ast.walk(tree):
        name = _name(node)
        at = f"{where}, line {getattr(node, 'lineno', '?')}"
        if name in FORBIDDEN:
            raise UnsafeModel(f"{at} names {name!r}, which reads or writes outside the model; "
                              "accepted: modules that compute their outputs from their inputs")  # fmt: skip
        if isinstance(node, ast.FunctionDef) and node.name in HOOKS:
            raise UnsafeModel(f"{at} defines {node.name!r}, which runs when the file is opened; "
                              "accepted: modules without it")  # fmt: skip
        if isinstance(node, ast.Attribute) and node.attr in ("quantized", "quantized_decomposed"):
            raise UnsupportedTorchScript(f"{at}: the module is already quantized; accepted: the float module")
        if name in ("ops", "classes") and id(node) not in allowed:
            raise UnsafeModel(f"{at} calls a custom operator or class; accepted: torch's own operators")


def _text(data: bytes, where: str) -> str:
    if len(data) > MAX_SOURCE:
        raise UnreadableModel(f"{where} has {len(data)} bytes of source; accepted: up to {MAX_SOURCE}")
    return data.decode()


def _name(node: ast.AST) -> str | None:
    """What a node names: a variable that is read, an attribute, or a whole string (as getattr takes it)."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
