"""What a job's artifacts depend on, as one digest: where the same work was done before, its result is used again."""

import hashlib
import json
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from jobs.job import Upload
from quant.spec import Spec

_LIBRARIES = ("numpy", "scipy", "onnx", "onnx-ir", "onnxruntime", "numba", "torch")


def work_digest(model: Upload, calibration: Upload | None, evaluation: Upload | None, spec: Spec) -> str:
    """Of the bytes of the inputs, the model's name (the report shows it), the resolved spec and the engine."""
    document = {
        "model": [model.sha256, model.filename or model.id],
        "calibration": calibration.sha256 if calibration else None,
        "evaluation": evaluation.sha256 if evaluation else None,
        "spec": spec.model_dump(mode="json"),
        "engine": engine(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@cache
def engine() -> str:
    """The quantizer's version: that of its libraries, and a digest of its own source."""
    digest = hashlib.sha256()
    for path in sorted(_source().rglob("*.*")):
        if path.suffix in (".py", ".html"):
            digest.update(path.relative_to(_source()).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    installed = {package.name for package in metadata.distributions()}
    versions = [f"{name} {metadata.version(name)}" for name in ("quantd", *_LIBRARIES) if name in installed]
    return f"{digest.hexdigest()} {', '.join(versions)}"


def _source() -> Path:
    spec = find_spec("quant")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
