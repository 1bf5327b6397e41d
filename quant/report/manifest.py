"""The manifest: digests of every input and artifact, the spec as resolved and the versions that made them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from quant.digests import FileDigest
from quant.export.serialize import VERSION
from quant.spec import Spec

_MEDIA_TYPES = {
    ".onnx": "application/octet-stream",
    ".data": "application/octet-stream",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".xml": "application/xml",
}


def manifest_json(
    inputs: Mapping[str, FileDigest], spec: Spec, artifacts: Mapping[str, FileDigest], isolation: Sequence[str]
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
