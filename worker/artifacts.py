"""What a job's process left in its folder, looked at as what a stranger sent: names, kinds, sizes, digests, words."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel

from jobs.errors import WorkerCrashed

ARTIFACTS = {
    "model.onnx": "application/octet-stream",
    "report.json": "application/json",
    "report.html": "text/html; charset=utf-8",
    "gates.junit.xml": "application/xml",
    "manifest.json": "application/json",
}
"""What a job makes."""
OF_LARGE_MODELS = {"model.onnx.data": "application/octet-stream"}
"""What it makes beside that where the model is large. Nothing else that lies in its folder is ever published."""
MAX_DOCUMENT = 64 << 20
"""Bytes of a document that the service itself reads."""
Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True)
class Made:
    """A file that may be published."""

    name: str
    media_type: str
    path: Path
    size: int
    sha256: str


class _Named(BaseModel):
    name: str


class _Report(BaseModel):
    """What the gateway relies on when it shows a report."""

    summary: dict[str, Any]
    layers: list[_Named]


class _File(BaseModel):
    sha256: str
    size: int


class _NamedFile(_File):
    name: str


class _Manifest(BaseModel):
    inputs: dict[str, _File]
    artifacts: list[_NamedFile]
    isolation: tuple[str, ...]


def collect(folder: Path, inputs: Mapping[str, str], isolation: tuple[str, ...]) -> list[Made]:
    """The artifacts in `folder`, which no process changes any more.

    Args:
        inputs: the SHA-256 of what the job was given, by role.
        isolation: what its process was kept from.

    Raises:
        WorkerCrashed: one is missing, is no plain file, or does not say what is so.
    """
    if folder.is_symlink() or not folder.is_dir():
        _refuse("out", "is no folder")
    more = {name: media_type for name, media_type in OF_LARGE_MODELS.items() if os.path.lexists(folder / name)}
    made = [_look(folder / name, media_type) for name, media_type in (ARTIFACTS | more).items()]
    _read(folder / "report.json", _Report)
    manifest = _read(folder / "manifest.json", _Manifest)
    told = {file.name: (file.sha256, file.size) for file in manifest.artifacts}
    if told != {file.name: (file.sha256, file.size) for file in made if file.name != "manifest.json"}:
        _refuse("manifest.json", "names other artifacts than there are")
    if {role: file.sha256 for role, file in manifest.inputs.items()} != inputs:
        _refuse("manifest.json", "names other inputs than were given")
    if manifest.isolation != isolation:
        _refuse("manifest.json", "tells of another isolation than there was")
    return made


def _look(path: Path, media_type: str) -> Made:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        _refuse(path.name, f"cannot be opened ({error.strerror})")
    try:
        kind = os.fstat(descriptor)
        if not stat.S_ISREG(kind.st_mode) or kind.st_nlink != 1:
            _refuse(path.name, "is no plain file of its own")
        with open(descriptor, "rb", closefd=False) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        os.close(descriptor)
    return Made(path.name, media_type, path, kind.st_size, digest)


def _read(path: Path, kind: type[Document]) -> Document:
    if path.stat().st_size > MAX_DOCUMENT:
        _refuse(path.name, f"has more than {MAX_DOCUMENT} bytes")
    try:
        return kind.model_validate(json.loads(path.read_bytes(), parse_constant=_no_number))
    except (ValueError, RecursionError):  # pydantic's own is a ValueError
        _refuse(path.name, "is not what it should be")


def _refuse(name: str, fault: str) -> NoReturn:
    raise WorkerCrashed(f"the job ended and {name} {fault}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
