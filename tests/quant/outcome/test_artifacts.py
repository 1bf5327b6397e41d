"""The table of artifacts."""

import re

import pytest

from quant.outcome.artifacts import ARTIFACTS, artifact_named
from quant.pipeline import Inputs, quantize_model


def test_names_are_unique_and_described():
    assert len({kind.name for kind in ARTIFACTS}) == len(ARTIFACTS)
    assert all(kind.description.endswith(".") for kind in ARTIFACTS)


def test_an_artifact_is_looked_up_by_its_name():
    assert all(artifact_named(kind.name) is kind for kind in ARTIFACTS)
    with pytest.raises(KeyError):
        artifact_named("weights.bin")


def test_a_job_writes_every_artifact_that_is_always_there(tmp_path, examples):
    quantize_model(Inputs(examples / "digits.onnx", "digits", {"preset": "int8-weights"}), tmp_path, lambda *_: None)
    assert {path.name for path in tmp_path.iterdir()} == {kind.name for kind in ARTIFACTS if kind.always}


def test_the_page_on_artifacts_describes_each_of_them(examples):
    page = (examples.parent / "docs" / "artifacts.md").read_text()
    rows = [f"| `{kind.name}` | `{kind.media_type.split(';')[0]}` | {kind.description}" for kind in ARTIFACTS]
    assert all(row in page for row in rows)
    assert re.findall(r"^\| `([\w.]+)` \| `\w+/", page, re.M) == [kind.name for kind in ARTIFACTS]
