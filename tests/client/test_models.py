"""The typed documents have fields that the service sends, and take what it adds."""

import dataclasses

import pytest

import quantd
from jobs.job import Problem
from quant.outcome.gates import GateResult
from quant.outcome.report import Report
from quant.outcome.report.diagnosis import Diagnosis
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import SkippedNode
from quant.outcome.summary import Summary
from quantd import models
from service.artifacts.schemas import ArtifactOut
from service.uploads.schemas import DatasetOut, ModelOut

PAIRS = {
    models.Model: ModelOut,
    models.Dataset: DatasetOut,
    models.Artifact: ArtifactOut,
    models.Gate: GateResult,
    models.Problem: Problem,
    models.Summary: Summary,
    models.Report: Report,
    models.Layer: LayerEntry,
    models.SkippedNode: SkippedNode,
    models.Diagnosis: Diagnosis,
}


@pytest.mark.parametrize(("typed", "sent"), PAIRS.items(), ids=lambda kind: kind.__name__)
def test_every_field_is_one_that_the_service_sends(typed, sent):
    assert {field.name for field in dataclasses.fields(typed)} - {"document"} <= set(sent.model_fields)


def test_fields_that_a_newer_service_adds_are_in_the_document():
    document = {"name": "m.onnx", "size": 3, "sha256": "00", "media_type": "a/b", "new": 1}
    artifact = quantd.Artifact.of(document)
    assert (artifact.name, artifact.document) == ("m.onnx", document)
