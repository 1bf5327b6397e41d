"""Reports of real jobs keep the published JSON Schema, and are read back as they were written."""

import json
import math

import pytest
from jsonschema import Draft202012Validator

from quant.outcome.report import SCHEMA_VERSION, Report
from quant.outcome.report.schema import report_schema
from quant.pipeline import Inputs, quantize_model

SPECS = {
    "int8": {"preset": "int8", "gates": {"min_output_sqnr_db": 20, "max_size_ratio": 0.9, "max_latency_ratio": 50}},
    "int4": {"preset": "int4"},
    "codebook": {"preset": "codebook4"},
    "ternary": {"preset": "ternary"},
    "tensor": {"preset": "int8", "weights": {"granularity": "tensor"}},
    "feedback": {"preset": "int4", "weights": {"rounding": "error_feedback"}},
    "blocks": {"preset": "int4-weights", "weights": {"granularity": "block"}},
    "budget": {"preset": "int4", "budget": {"max_size_ratio": 0.2}},
    "search": {"preset": "int4", "objective": "smallest_within_gates", "gates": {"max_top1_drop_points": 2}},
    "weights": {"preset": "int4", "report": "weights"},
    "one family": {"preset": "int4", "weights": {"distributions": ["student_t"]}},
}


@pytest.fixture(scope="module")
def validator():
    return Draft202012Validator(report_schema())


@pytest.fixture
def run(tmp_path, examples):
    """Return a function that runs a job on the digits network and returns its report as JSON."""

    def job(spec, *, calibrated=True, evaluated=True):
        data = [examples / f"digits_{role}.npz" if given else None
                for role, given in (("calibration", calibrated), ("evaluation", evaluated))]  # fmt: skip
        quantize_model(Inputs(examples / "digits.onnx", "digits.onnx", spec, *data), tmp_path, lambda *_: None)
        return (tmp_path / "report.json").read_bytes()

    return job


def numbers(value):
    """Yield every number of a JSON document."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("name", SPECS)
def test_the_report_of_a_job_keeps_the_schema(run, validator, name):
    data = run(SPECS[name])
    document = json.loads(data)
    validator.validate(document)
    assert all(map(math.isfinite, numbers(document)))
    assert Report.model_validate_json(data).model_dump_json().encode() + b"\n" == data


def test_a_report_without_data_keeps_the_schema(run, validator):
    document = json.loads(run({"preset": "int4-weights"}, calibrated=False, evaluated=False))
    validator.validate(document)
    assert document["provenance"]["calibration_sha256"] is None
    assert document["error_share_basis"]["reason"]
    assert all(layer["error_share"] is None and layer["error_share_reason"] for layer in document["layers"])


def test_the_report_names_model_gates_and_versions(run):
    document = json.loads(run(SPECS["int8"]))
    assert document["schema_version"] == SCHEMA_VERSION
    assert document["model"]["name"] == "digits.onnx"
    assert len(document["model"]["sha256"]) == 64
    assert len(document["provenance"]["calibration_sha256"]) == 64
    assert "onnxruntime" in document["provenance"]["libraries"]
    sqnr, size = document["gates"]  # the gate on latency is not stored
    assert (sqnr["name"], sqnr["unit"], sqnr["better"]) == ("min_output_sqnr_db", "dB", "higher")
    assert (size["name"], size["unit"], size["better"]) == ("max_size_ratio", "", "lower")
    assert sqnr["margin"] == pytest.approx(sqnr["value"] - sqnr["limit"])
    assert size["margin"] == pytest.approx(size["limit"] - size["value"])
    assert document["verdict"] == ("pass" if sqnr["passed"] and size["passed"] else "fail")


def test_every_layer_has_shares_pictures_channels_and_alternatives(run):
    document = json.loads(run(SPECS["int4"]))
    layers = document["layers"]
    assert sum(layer["error_share"] for layer in layers) == pytest.approx(1)
    for layer in layers:
        assert layer["picture"]["unit"] == "bound"
        assert len(layer["picture"]["histogram"]["counts"]) == 64
        assert len(layer["channels"]["bound"]) == layer["weight_shape"][1 if layer["op"] == "MatMul" else 0]
        assert [change["change"] for change in layer["alternatives"]][-1] == "float"


def test_equal_jobs_write_equal_bytes(run):
    assert run(SPECS["int4"]) == run(SPECS["int4"])
