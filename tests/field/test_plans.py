"""Every input that failed in the field has a plan that agrees with its job; real models have a plan or are refused."""

import json

import pytest

from quant.errors import QuantdError
from quant.inputs import Inputs
from quant.pipeline import quantize_model
from quant.plan.plan import plan_model
from tests.field.test_every_case import CASES

OTHERS = {"synthetic_inputs": "none", "report": "weights", "measure": {"latency": False}}
TOLERANCE_DB = 0.1
"""The layers of these models have few channels, which are all sampled; a job quantizes the same weights."""


@pytest.mark.parametrize("name", [*CASES, "labels-out-of-range"])
def test_a_plan_has_the_layers_the_bytes_and_the_error_of_its_job(name, field, tmp_path):
    model = field / f"{name}.onnx"
    # A plan rounds to nearest, and does not know whether a job corrects biases where it may choose.
    spec = {"preset": "int4-weights", "weights": {"rounding": "nearest"}, "bias_correction": "data_free", **OTHERS}
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


PLANNED = (
    "models/mnist_opset8.onnx", "models/resnet8_mlperftiny.onnx", "coverage/dtln_1.onnx", "coverage/magika_v3_3.onnx",
    "coverage/oww_alexa_v0.1.onnx", "coverage/oww_melspectrogram.onnx", "modern/g1_policy.onnx",
)  # fmt: skip
REFUSED = {
    "coverage/anydrive_v3_lstm.pt": "spec.input_shapes_required",
    "coverage/silero_vad.jit": "model.stateful",
    "coverage/superres_with_prepost_op18.onnx": "model.unsupported_operator",
}


@pytest.mark.parametrize("name", PLANNED)
def test_a_real_model_has_a_plan_whose_fits_predict_the_error(name, data):
    plan = plan_model(Inputs(data / name, name, {"preset": "int8"}), lambda *_: None)
    assert plan.layers
    assert all(layer.kernel.startswith(("integer", "float")) for layer in plan.layers)
    assert plan.weight.expected_sqnr_db == pytest.approx(plan.weight.sqnr_db, abs=1.0)


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_a_real_model_that_no_job_takes_is_refused_by_name(name, code, data):
    with pytest.raises(QuantdError) as refused:
        plan_model(Inputs(data / name, name, {"preset": "int8"}), lambda *_: None)
    assert refused.value.code == code
