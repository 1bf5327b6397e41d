"""Validate the artifacts of an untrusted job process."""

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
from quant.outcome.artifacts import ARTIFACTS, MANIFEST, REPORT, ArtifactKind
from quant.outcome.plan import PLAN_FILE, Plan

MAX_DOCUMENT = 64 << 20
"""The largest document that the service itself reads, in bytes."""
MAX_PLAN = 16 << 20
"""The largest plan in bytes; a plan takes about 600 bytes a layer."""
Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True)
class ArtifactFile:
    """A validated file that may be published; `size` is in bytes, `sha256` in hexadecimal."""

    name: str
    media_type: str
    path: Path
    size: int
    sha256: str


class _Named(BaseModel):
    name: str


class _Report(BaseModel):
    """The part of a report that the gateway relies on to display it."""

    summary: dict[str, Any]
    layers: list[_Named]


class _File(BaseModel):
    sha256: str
    size: int


class _NamedFile(_File):
    name: str


class _Manifest(BaseModel):
    """The part of a manifest that the worker verifies."""

    inputs: dict[str, _File]
    artifacts: list[_NamedFile]
    isolation: tuple[str, ...]


def collect(folder: Path, inputs: Mapping[str, str], isolation: tuple[str, ...]) -> list[ArtifactFile]:
    """Return the validated artifacts in `folder`, which no process may write to any more.

    Args:
        folder: the output folder of the job's process.
        inputs: the SHA-256 of each input of the job, by role.
        isolation: the parts of the sandbox that the process ran in.

    Raises:
        WorkerCrashed: an artifact is missing, is not a plain file, or contradicts the manifest.
    """
    _require_folder(folder)
    kinds = [kind for kind in ARTIFACTS if kind.always or os.path.lexists(folder / kind.name)]
    artifacts = [_inspect(folder, kind) for kind in kinds]
    _read(folder / REPORT.name, _Report)
    _verify(_read(folder / MANIFEST.name, _Manifest), artifacts, inputs, isolation)
    return artifacts


def collect_plan(folder: Path) -> list[ArtifactFile]:
    """Return the validated plan in `folder`, which no process may write to any more.

    Raises:
        WorkerCrashed: it is missing, is not a plain file, or has other content than a plan.
    """
    _require_folder(folder)
    plan = _inspect(folder, ArtifactKind(PLAN_FILE, "application/json", "The plan."))
    _read(folder / PLAN_FILE, Plan, MAX_PLAN)
    return [plan]


def _require_folder(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        _refuse("out", "is not a folder")


def _verify(
    manifest: _Manifest, artifacts: list[ArtifactFile], inputs: Mapping[str, str], isolation: tuple[str, ...]
) -> None:
    """Compare the manifest with what the worker knows."""
    listed = {file.name: (file.sha256, file.size) for file in manifest.artifacts}
    if listed != {file.name: (file.sha256, file.size) for file in artifacts if file.name != MANIFEST.name}:
        _refuse(MANIFEST.name, "lists other artifacts than the folder contains")
    if {role: file.sha256 for role, file in manifest.inputs.items()} != inputs:
        _refuse(MANIFEST.name, "lists other inputs than the job has")
    if manifest.isolation != isolation:
        _refuse(MANIFEST.name, "lists another isolation than the process ran in")


def _inspect(folder: Path, kind: ArtifactKind) -> ArtifactFile:
    """Open a file without following links, and hash it."""
    path = folder / kind.name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        _refuse(path.name, f"cannot be opened ({error.strerror})")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            _refuse(path.name, "is not a plain file with a single name")
        with open(descriptor, "rb", closefd=False) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        os.close(descriptor)
    return ArtifactFile(kind.name, kind.media_type, path, status.st_size, digest)


def _read(path: Path, kind: type[Document], limit: int = MAX_DOCUMENT) -> Document:
    if path.stat().st_size > limit:
        _refuse(path.name, f"is larger than {limit} bytes")
    try:
        return kind.model_validate(json.loads(path.read_bytes(), parse_constant=_reject_constant))
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        _refuse(path.name, "does not have the expected content")


def _refuse(name: str, fault: str) -> NoReturn:
    raise WorkerCrashed(f"the job ended and {name} {fault}")


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
