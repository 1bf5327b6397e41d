"""A plan agrees with the job that it is for: the same layers, forms and sizes, and nearly the same weight error."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from quant import layerwise
from quant.errors import AlreadyQuantized, NonFiniteWeight, SpecError
from quant.inputs import Inputs
from quant.outcome.plan import Plan
from quant.pipeline import quantize_model
from quant.plan.plan import NOT_READ, plan_model
from quant.plan.planned_weights import NEAREST_NOTE, OUTPUT_ERROR_NOTE
from quant.plan.sampled_weights import MAX_CHANNELS
from quant.spec import PRESETS, resolve

RNG = np.random.default_rng(0)
WEIGHT_ONLY = [
    {"preset": "int8-weights"},
    {"preset": "int4-weights"},
    {"preset": "int4-weights", "bias_correction": "none"},
    {"preset": "int4-weights", "weights": {"granularity": "block", "block_size": 32}},
    {"preset": "int4-weights", "weights": {"granularity": "tensor"}},
    {"preset": "int8-weights", "export": {"weight_storage": "direct"}},
    {"preset": "codebook4", "activations": None},
    {"preset": "ternary", "activations": None},
    {"preset": "int8-weights", "layers": [{"match": {"op": "Gemm"}, "skip": True}]},
    {"preset": "int8-weights", "equalization": "cross_layer"},
]
TOLERANCE_DB = 0.6
"""The greatest difference of the expected and the measured SQNR of uniform grids: the fits are not exact."""


def plan_of(model, spec):
    return plan_model(Inputs(model, model.name, spec), lambda *_: None)


def job_of(model, spec, out, **data):
    """Quantize the model; return the summary and the report of the job."""
    out.mkdir()
    quick = {**spec, "report": "weights", "measure": {"latency": False}}
    outcome = quantize_model(Inputs(model, model.name, quick, **data), out, lambda *_: None)
    return outcome.summary, json.loads((out / "report.json").read_bytes())


def planned(plan):
    keys = ("name", "op", "bits", "granularity", "grid", "bytes_before", "bytes_after")
    return [tuple(getattr(layer, key) for key in keys) for layer in plan.layers]


def quantized(report):
    keys = ("name", "op", "bits", "granularity", "grid", "bytes_before", "bytes_after")
    return [tuple(layer[key] for key in keys) for layer in report["layers"]]


def skipped(nodes):
    return [(node["name"], node["op"], node["reason"]) for node in nodes]


@pytest.mark.parametrize("spec", WEIGHT_ONLY, ids=str)
def test_a_weight_only_plan_has_the_layers_and_the_size_of_its_job(spec, examples, tmp_path):
    plan = plan_of(examples / "digits.onnx", spec)
    summary, report = job_of(examples / "digits.onnx", spec, tmp_path / "out")
    assert planned(plan) == quantized(report)
    assert skipped(node.model_dump() for node in plan.skipped) == skipped(report["skipped"])
    assert plan.size.bytes_before == summary.bytes_before
    exact = plan.size.basis == "exact"  # without data, a job corrects biases only where that helps
    assert exact == (resolve(spec).keep_float == "none" and resolve(spec).bias_correction != "auto")
    assert plan.size.bytes_after == pytest.approx(summary.bytes_after, rel=0 if exact else 0.01)
    assert not plan.needs_calibration
    by_output = any({OUTPUT_ERROR_NOTE, NEAREST_NOTE}.intersection(layer.notes) for layer in plan.layers)
    least_error = plan.weight.sqnr_db - summary.weight_sqnr_db  # less error of outputs costs a job error of weights
    assert -0.01 <= least_error <= (4 if by_output else 0.01)


@pytest.mark.parametrize("preset", ["int8", "int4", "codebook4", "ternary"])
def test_a_plan_with_activations_is_close_to_its_job(preset, examples, tmp_path):
    plan = plan_of(examples / "digits.onnx", {"preset": preset})
    data = {"calibration": examples / "digits_calibration.npz"}
    summary, report = job_of(examples / "digits.onnx", {"preset": preset}, tmp_path / "out", **data)
    assert planned(plan) == quantized(report)
    assert plan.needs_calibration
    assert plan.size.basis == "structure"
    assert plan.size.bytes_after == pytest.approx(summary.bytes_after, rel=0.03)
    assert plan.weight.sqnr_db > summary.weight_sqnr_db - 0.5  # a job minimises the error of the outputs instead


@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights", "int8", "int4"])
def test_the_fits_predict_the_error_of_uniform_grids(preset, examples):
    weight = plan_of(examples / "digits.onnx", {"preset": preset}).weight
    assert weight.expected_sqnr_db == pytest.approx(weight.sqnr_db, abs=TOLERANCE_DB)


def test_every_preset_is_planned_as_on_its_own(examples):
    plans = {preset.preset: preset for preset in plan_of(examples / "digits.onnx", {}).presets}
    assert list(plans) == [*PRESETS]
    for name in ("int8", "int4-weights"):
        alone = plan_of(examples / "digits.onnx", {"preset": name})
        assert (plans[name].size, plans[name].weight) == (alone.size, alone.weight)
        assert plans[name].needs_calibration == alone.needs_calibration == (name == "int8")
    assert plans["int4-weights"].size.bytes_after < plans["int8-weights"].size.bytes_after
    sizes = [plans[name].size.bytes_after for name in ("auto", "small", "smaller", "smallest")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < plans["int4"].size.bytes_after
    assert sizes[3] <= 1.15 * plans["ternary"].size.bytes_after


def test_presets_leave_out_the_layers_that_the_spec_skips(examples):
    all_layers = plan_of(examples / "digits.onnx", {})
    fewer = plan_of(examples / "digits.onnx", {"layers": [{"match": {"op": "Gemm"}, "skip": True}]})
    for before, after in zip(all_layers.presets, fewer.presets, strict=True):
        assert after.size.bytes_after > before.size.bytes_after or before.preset == "fp16"


def test_wide_layers_are_sampled(tmp_path):
    path = tmp_path / "wide.onnx"
    path.write_bytes(matmul_model(RNG.standard_t(5, size=(96, 1000))))
    plan = plan_of(path, {"preset": "int4-weights"})
    summary, _ = job_of(path, {"preset": "int4-weights"}, tmp_path / "out")
    assert (plan.weight.channels, plan.weight.of_channels) == (MAX_CHANNELS, 1000)
    assert plan.weight.sqnr_db == pytest.approx(summary.weight_sqnr_db, abs=0.3)
    assert plan.size.bytes_after == summary.bytes_after


def test_a_weight_with_nan_outside_the_sample_is_refused(tmp_path):
    weight = RNG.normal(size=(96, 1000))
    weight[5, 3] = np.nan
    path = tmp_path / "nan.onnx"
    path.write_bytes(matmul_model(weight))
    with pytest.raises(NonFiniteWeight, match="layer 'matmul'"):
        plan_of(path, {"preset": "int8-weights"})


def test_a_model_that_a_job_refuses_is_refused_in_the_same_way(examples, tmp_path):
    data = {"calibration": examples / "digits_calibration.npz"}
    job_of(examples / "digits.onnx", {"preset": "int8"}, tmp_path / "out", **data)
    with pytest.raises(AlreadyQuantized):
        plan_of(tmp_path / "out" / "model.onnx", {"preset": "int8-weights"})
    with pytest.raises(SpecError):
        plan_of(examples / "digits.onnx", {"preset": "int9"})


def test_a_plan_says_what_a_job_decides_by_data_or_time(examples):
    spec = {"budget": {"max_size_ratio": 0.2}, "equalization": "auto", "weights": {"rounding": "reconstruct"}}
    budgeted = plan_of(examples / "digits.onnx", spec)
    warnings = " ".join(budgeted.warnings)
    assert (budgeted.size.bytes_after, budgeted.size.basis) == (50943, "limit")
    assert "within the budget" in warnings
    assert "equalized" in warnings
    assert "takes a job up to 7 more float runs" in warnings
    slower = plan_of(examples / "digits.onnx", {"preset": "int8-weights", "keep_float": "slower"})
    assert "measures no time" in " ".join(slower.warnings)
    for mode, warning in (("auto", "compares dynamic ranges"), ("dynamic", "without calibration data")):
        planned = plan_of(examples / "digits.onnx", {"activations": {"mode": mode}})
        assert any(warning in text for text in planned.warnings) == (mode == "dynamic")  # few layers are linear
        assert planned.needs_calibration == (mode == "auto")
    assert slower.size.basis == "structure"


def test_a_plan_survives_its_json(examples):
    plan = plan_of(examples / "digits.onnx", {"gates": {"min_output_sqnr_db": 20}})
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert plan.needs_evaluation


def test_a_torchscript_module_is_planned(examples):
    plan = plan_of(examples / "digits.pt", {"preset": "int8-weights"})
    assert plan.model.container == "torchscript"
    assert len(plan.layers) == 7


def test_no_weight_of_a_large_model_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.onnx"
    model = onnx.load_model_from_string(matmul_model(RNG.normal(size=(256, 512))))
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, path)
    monkeypatch.setattr(layerwise, "MAX_WHOLE_BYTES", 0)
    plan = plan_of(path, {"preset": "int4-weights"})
    summary, report = job_of(path, {"preset": "int4-weights"}, tmp_path / "out")
    assert plan.size.basis == "sum"
    assert plan.size.bytes_after == pytest.approx(summary.bytes_after, abs=4096 + 2000)
    assert (plan.weight.sqnr_db, plan.weight.reason) == (None, NOT_READ)
    assert planned(plan) == quantized(report)
    assert any("layer by layer" in warning for warning in plan.warnings)


def matmul_model(weight):
    """Return a MatMul with this weight, as ONNX."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="matmul")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", weight.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", weight.shape[1]])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
