"""The cache keys of jobs and plans: digests of everything that their artifacts depend on."""

import hashlib
import json
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from jobs.job import Upload
from quant.outcome.baseline import Baseline
from quant.spec import Spec

_SUFFIXES = (".py", ".html", ".css", ".js")
"""The files of `quant` that artifacts depend on: its code, and the parts of the report page."""
_LIBRARIES = ("numpy", "scipy", "onnx", "onnx-ir", "onnxruntime", "numba", "torch")


def work_digest(
    model: Upload,
    calibration: Upload | None,
    evaluation: Upload | None,
    spec: Spec,
    baseline: Baseline | None = None,
) -> str:
    """Return the digest of inputs, resolved spec, engine, baseline, and the model's name, which the report shows."""
    document = {
        "baseline": None if baseline is None else baseline.model_dump(mode="json"),
        "model": [model.sha256, model.filename or model.id],
        "calibration": calibration.sha256 if calibration else None,
        "evaluation": evaluation.sha256 if evaluation else None,
        "spec": spec.model_dump(mode="json"),
        "engine": engine(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def plan_digest(model: Upload, spec: Spec) -> str:
    """Return the digest of everything that a plan depends on."""
    return hashlib.sha256(f"plan {work_digest(model, None, None, spec)}".encode()).hexdigest()


@cache
def engine() -> str:
    """Return the quantizer's version: a digest of its source, and the versions of its libraries."""
    digest = hashlib.sha256()
    for path in sorted(_source().rglob("*.*")):
        if path.suffix in _SUFFIXES:
            digest.update(path.relative_to(_source()).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    installed = {package.name for package in metadata.distributions()}
    versions = [f"{name} {metadata.version(name)}" for name in ("quantd", *_LIBRARIES) if name in installed]
    return f"{digest.hexdigest()} {', '.join(versions)}"


def _source() -> Path:
    spec = find_spec("quant")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
