"""The manifest: digests of every input and artifact, the resolved spec and the versions of the libraries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata

from quant.digests import FileDigest
from quant.export.serialize import VERSION
from quant.outcome.artifacts import artifact_named
from quant.spec import Spec

LIBRARIES = ("numpy", "scipy", "onnx", "onnx-ir", "onnxruntime")
"""The libraries whose version can change the bytes of an artifact."""


def library_versions() -> dict[str, str]:
    """Return the installed version of each library of `LIBRARIES`."""
    return {library: metadata.version(library) for library in LIBRARIES}


def manifest_json(
    inputs: Mapping[str, FileDigest], spec: Spec, artifacts: Mapping[str, FileDigest], isolation: Sequence[str]
) -> bytes:
    """Return the manifest as JSON; it holds enough to reproduce the artifacts byte by byte.

    Args:
        inputs: digests of the uploaded files by role: model, calibration, evaluation.
        spec: the resolved spec.
        artifacts: digests of the artifacts by name, without the manifest's own.
        isolation: names of the sandbox layers that confined the process.
    """
    document = {
        "quantd": VERSION,
        "versions": library_versions(),
        "spec": spec.model_dump(mode="json"),
        "isolation": list(isolation),
        "inputs": {role: asdict(digest) for role, digest in inputs.items()},
        "artifacts": [
            {"name": name, **asdict(digest), "media_type": artifact_named(name).media_type}
            for name, digest in artifacts.items()
        ],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
