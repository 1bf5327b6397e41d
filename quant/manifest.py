"""The manifest: digests of every input and artifact, the spec as resolved and the versions that made them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from quant.spec import Spec

VERSION = metadata.version("quantd")
_MEDIA_TYPES = {
    ".onnx": "application/octet-stream",
    ".data": "application/octet-stream",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".xml": "application/xml",
}


@dataclass(frozen=True)
class Stored:
    """The size of a file in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    @classmethod
    def read(cls, path: Path) -> "Stored":
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(path: Path, data: bytes) -> Stored:
    """Write a file, and say what it is."""
    path.write_bytes(data)
    return Stored(len(data), sha256_of(data))


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stamp(model: ir.Model, spec: Spec, origin: str) -> bytes:
    """The model as bytes, with the `quantd.*` keys that tell where it came from; equal input gives equal bytes.

    `origin` is the SHA-256 of the upload.
    """
    model.producer_name, model.producer_version = "quantd", VERSION
    model.metadata_props.update(
        {
            "quantd.version": VERSION,
            "quantd.spec_sha256": sha256_of(canonical_json(spec.model_dump(mode="json"))),
            "quantd.source_sha256": origin,
        }
    )
    proto: onnx.ModelProto = ir.to_proto(model)
    del proto.graph.value_info[:]  # inferred shapes of intermediate tensors: any reader infers them again
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def canonical_json(document: Any) -> bytes:
    """Keys sorted, no spaces: the same document always has the same digest."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def manifest_json(
    inputs: Mapping[str, Stored], spec: Spec, artifacts: Mapping[str, Stored], isolation: Sequence[str]
) -> bytes:
    """Enough to make the same bytes again; `isolation` names what the process that made them was kept from."""
    document = {
        "quantd": VERSION,
        "versions": {name: metadata.version(name) for name in ("numpy", "scipy", "onnx", "onnx-ir", "onnxruntime")},
        "spec": spec.model_dump(mode="json"),
        "isolation": list(isolation),
        "inputs": {role: asdict(stored) for role, stored in inputs.items()},
        "artifacts": [
            {"name": name, **asdict(stored), "media_type": _MEDIA_TYPES[Path(name).suffix]}
            for name, stored in artifacts.items()
        ],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
