"""The manifest: digests of every input and artifact, the spec as resolved and the versions that made them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quant.spec import Spec

VERSION = metadata.version("quantd")
_MEDIA_TYPES = {
    ".onnx": "application/octet-stream",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".xml": "application/xml",
}


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(model: ir.Model, spec: Spec, upload: Path) -> bytes:
    """The model as bytes, with the `quantd.*` keys that tell where it came from; equal input gives equal bytes."""
    model.producer_name, model.producer_version = "quantd", VERSION
    model.metadata_props.update(
        {
            "quantd.version": VERSION,
            "quantd.spec_sha256": sha256_of(canonical_json(spec.model_dump(mode="json"))),
            "quantd.source_sha256": sha256_of_file(upload),
        }
    )
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]  # inferred shapes of intermediate tensors: any reader infers them again
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def canonical_json(document: Any) -> bytes:
    """Keys sorted, no spaces: the same document always has the same digest."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def manifest_json(
    inputs: Mapping[str, Path | None], spec: Spec, artifacts: Mapping[str, bytes], isolation: Sequence[str]
) -> bytes:
    """Enough to make the same bytes again; `isolation` names what the process that made them was kept from."""
    document = {
        "quantd": VERSION,
        "versions": {name: metadata.version(name) for name in ("numpy", "scipy", "onnx", "onnx-ir", "onnxruntime")},
        "spec": spec.model_dump(mode="json"),
        "isolation": list(isolation),
        "inputs": {
            role: {"sha256": sha256_of_file(path), "size": path.stat().st_size}
            for role, path in inputs.items()
            if path is not None
        },
        "artifacts": [
            {
                "name": name,
                "size": len(data),
                "sha256": sha256_of(data),
                "media_type": _MEDIA_TYPES[Path(name).suffix],
            }
            for name, data in artifacts.items()
        ],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
