"""Vetting of a TorchScript archive before torch opens it.

Loading and running TorchScript runs its code, and some of its operators read and write files. The sandbox of the job's
process is the security boundary. This check comes first and names the reason for a refusal.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from quant.errors import UnreadableModel, UnsafeModel, UnsupportedFormat, UnsupportedTorchScript
from quant.graph.load.archive import CHUNK, check_members, size_limit, translate_errors
from quant.graph.load.traced_inputs import read_traced_inputs

MAX_SOURCE = 1 << 24
ACCEPTED = "a module saved by torch.jit.save after torch.jit.trace or torch.jit.script"
FORBIDDEN = frozenset({"from_file", "save", "load", "load_tensor"})
"""Operators that read or write files, refused as a name, an attribute or a string for getattr."""
HOOKS = frozenset({"__setstate__", "__getstate__"})
"""Methods that run while a module is loaded or saved."""
_NAMESPACES = frozenset({"aten", "prim", "onnx"})
"""The namespaces of torch's own operators."""


@dataclass(frozen=True)
class VettedArchive:
    """An archive that torch may open.

    Attributes:
        path: a copy without the members that torch does not need.
        arguments: the arguments of forward that the module was traced with; None for a scripted module.
    """

    path: Path
    arguments: list[Any] | None


def is_torchscript(names: Iterable[str]) -> bool:
    """Return True if these are the member names of a PyTorch file: one of them is `<root>/data.pkl`."""
    return any(len(parts := PurePosixPath(name).parts) == 2 and parts[1] == "data.pkl" for name in names)


def vet(upload: Path, folder: Path) -> VettedArchive:
    """Check an archive and its code, and copy the members that torch needs into `folder`.

    Raises:
        UnsafeModel: the code accesses files, runs at load or calls custom operators, or the archive is too large.
        UnsupportedFormat: the file is a checkpoint of weights without code.
        UnreadableModel: the archive is damaged.
    """
    path = folder / "module.pt"
    with translate_errors(ACCEPTED), ZipFile(upload) as archive, ZipFile(path, "w", ZIP_STORED) as copy:
        members = check_members(archive, size_limit(upload))
        root = _root([member.filename for member in members])
        arguments = None
        for member in members:
            name = member.filename.removeprefix(f"{root}/")
            if name == "traced_inputs.pkl":
                arguments = read_traced_inputs(archive.read(member))
            _copy_member(archive, member, name, copy)
    return VettedArchive(path, arguments)


def check_source(source: str, name: str) -> None:
    """Check the source of one file of an archive's `code/`.

    Args:
        source: TorchScript, whose syntax is Python's.
        name: the name of the file, for messages.

    Raises:
        UnsafeModel: the source names a forbidden operator, a method that runs at load, or a custom operator.
        UnsupportedTorchScript: the module is already quantized.
        UnreadableModel: it is no TorchScript source.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableModel(
            f"{name} is no TorchScript source ({type(error).__name__}); accepted: {ACCEPTED}"
        ) from None
    harmless = {id(node) for node in _harmless_names(tree)}
    for node in ast.walk(tree):
        place = f"{name}, line {getattr(node, 'lineno', '?')}"
        _check_node(node, place)
        if id(node) not in harmless:
            _check_name(_name(node), place)


def _root(names: list[str]) -> str:
    """Return the folder that all members of a TorchScript archive lie in."""
    (root,) = {PurePosixPath(name).parts[0] for name in names}
    if f"{root}/constants.pkl" not in names:
        raise UnsupportedFormat(f"the file is a PyTorch checkpoint: weights without code; accepted: {ACCEPTED}")
    return root


def _copy_member(archive: ZipFile, member: ZipInfo, name: str, copy: ZipFile) -> None:
    """Copy a member, source code after a check; skip what torch does not need."""
    if name.startswith(("traced_inputs", "extra/")) or name.endswith(".debug_pkl"):
        return
    if name.startswith("code/") or name.casefold().endswith(".py"):
        source = _text(archive.read(member), name)
        check_source(source, name)
        copy.writestr(member.filename, source)
        return
    with archive.open(member) as file, copy.open(member.filename, "w", force_zip64=True) as target:
        while chunk := file.read(CHUNK):
            target.write(chunk)


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_SOURCE:
        raise UnreadableModel(f"{name} has {len(data)} bytes of source; accepted: up to {MAX_SOURCE}")
    return data.decode()


def _harmless_names(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the nodes whose names reach no operator but torch's own.

    These are `ops` in `ops.aten`, `ops.prim` and `ops.onnx`, and the paths of the archive's own types, such as
    `__torch__.torchvision.ops.misc.Conv2dNormActivation`.
    """
    seen: set[int] = set()
    for node in ast.walk(tree):  # breadth first: the last attribute of a path comes before the others
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr in _NAMESPACES and _name(node.value) == "ops":
            yield node.value
        if id(node) not in seen:
            path = list(_path(node))
            seen.update(map(id, path))
            if _is_archive_type([_name(part) for part in reversed(path)]):
                yield from path


def _path(node: ast.expr) -> Iterator[ast.expr]:
    """Yield an attribute, the attribute that it belongs to, and so on, up to the root of the path."""
    while isinstance(node, ast.Attribute):
        yield node
        node = node.value
    yield node


def _is_archive_type(names: list[str | None]) -> bool:
    """Return True if a path leads to a type of the archive; `__torch__.torch.classes` leads to custom classes."""
    return names[0] == "__torch__" and names[1:3] != ["torch", "classes"]


def _check_node(node: ast.AST, place: str) -> None:
    if isinstance(node, ast.FunctionDef) and node.name in HOOKS:
        raise UnsafeModel(
            f"{place} defines {node.name!r}, which runs when the file is opened; accepted: modules without it"
        )
    if isinstance(node, ast.Attribute) and node.attr in ("quantized", "quantized_decomposed"):
        raise UnsupportedTorchScript(f"{place}: the module is already quantized; accepted: the float module")


def _check_name(name: str | None, place: str) -> None:
    if name in FORBIDDEN:
        raise UnsafeModel(
            f"{place} names {name!r}, which reads or writes outside the model; "
            "accepted: modules that compute their outputs from their inputs"
        )
    if name in ("ops", "classes"):
        raise UnsafeModel(f"{place} calls a custom operator or class; accepted: torch's own operators")


def _name(node: ast.AST) -> str | None:
    """Return the name in a node: of a variable that is read, of an attribute, or a string (as getattr takes it)."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
