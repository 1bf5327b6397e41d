"""The manifest lists inputs, artifacts, the resolved spec and the versions."""

import json

import pytest

from quant.digests import FileDigest
from quant.outcome.artifacts import ARTIFACTS
from quant.report.manifest import LIBRARIES, manifest_json
from quant.spec import resolve

MODEL, DATA = FileDigest(3, "ab" * 32), FileDigest(4, "cd" * 32)


def test_the_manifest_describes_every_file():
    spec = resolve({"preset": "int8-weights"})
    artifacts = {kind.name: MODEL for kind in ARTIFACTS if kind.name != "manifest.json"}
    document = json.loads(manifest_json({"model": MODEL, "evaluation": DATA}, spec, artifacts, ["seccomp"]))
    assert document["inputs"]["evaluation"] == {"size": 4, "sha256": "cd" * 32}
    assert document["isolation"] == ["seccomp"]
    assert document["spec"] == spec.model_dump(mode="json")
    assert list(document["versions"]) == sorted(LIBRARIES)
    media_types = {file["name"]: file["media_type"] for file in document["artifacts"]}
    assert media_types == {kind.name: kind.media_type for kind in ARTIFACTS if kind.name != "manifest.json"}


def test_equal_inputs_give_equal_bytes():
    spec = resolve({})
    first = manifest_json({"model": MODEL, "calibration": DATA}, spec, {}, [])
    assert first == manifest_json({"calibration": DATA, "model": MODEL}, spec, {}, [])


def test_a_file_that_is_no_artifact_has_no_place():
    with pytest.raises(KeyError, match=r"weights\.bin"):
        manifest_json({}, resolve({}), {"weights.bin": DATA}, [])
