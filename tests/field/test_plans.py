"""Every input that failed in the field has a plan that agrees with its job."""

import json

import pytest

from quant.inputs import Inputs
from quant.pipeline import quantize_model
from quant.plan.plan import plan_model
from tests.field.test_every_case import CASES

TOLERANCE_DB = 0.1
"""The layers of these models have few channels, which are all sampled; a job quantizes the same weights."""


@pytest.mark.parametrize("name", [*CASES, "labels-out-of-range"])
def test_a_plan_has_the_layers_the_bytes_and_the_error_of_its_job(name, field, tmp_path):
    model = field / f"{name}.onnx"
    spec = {"preset": "int4-weights", "report": "weights", "measure": {"latency": False}}
    plan = plan_model(Inputs(model, model.name, spec), lambda *_: None)
    outcome = quantize_model(Inputs(model, model.name, spec), tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert [(layer.name, layer.bits, layer.bytes_after) for layer in plan.layers] == [
        (layer["name"], layer["bits"], layer["bytes_after"]) for layer in report["layers"]
    ]
    assert [(node.name, node.reason) for node in plan.skipped] == [
        (node["name"], node["reason"]) for node in report["skipped"]
    ]
    assert (plan.size.basis, plan.size.bytes_after) == ("exact", outcome.summary.bytes_after)
    assert plan.weight.sqnr_db == pytest.approx(outcome.summary.weight_sqnr_db, abs=TOLERANCE_DB)
    assert plan.weight.expected_sqnr_db == pytest.approx(plan.weight.sqnr_db, abs=1.0)
