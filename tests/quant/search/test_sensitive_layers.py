"""Layers that stay in float for their error at the output."""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.search import sensitive_layers
from quant.search.sensitive_layers import DB_PER_SIZE, FLOAT_INPUT_NOTE, REASON, Errors, Floats, worthwhile
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)


def errors(weights, activations=None, readers=None, size=0.001, kernels=(), *, float_inputs=False):
    sizes = dict.fromkeys(weights, size)
    return Errors(weights, activations or {}, readers or {}, sizes, frozenset(kernels), float_inputs)


def test_layers_are_taken_out_by_their_error_per_byte():
    sequence = worthwhile(errors({"a": 1.0, "b": 100.0, "c": 10.0, "d": 1e-6}), 5.0)
    assert sequence == [Floats.layers(["b"]), Floats.layers(["c"]), Floats.layers(["a"])]


def test_layers_stay_quantized_if_another_bit_for_all_would_bring_more():
    alike = {str(number): 1.0 for number in range(16)}
    assert worthwhile(errors(alike, size=1 / 16), 5.0) == []
    assert len(worthwhile(errors(alike, size=6.02 / DB_PER_SIZE / 100), 5.0)) == len(alike)


@pytest.mark.parametrize(("score", "moves"), [(5.0, 3), (12.0, 2), (25.0, 1), (31.0, 0)])
def test_nothing_is_taken_out_once_the_outputs_are_good(score, moves):
    parts = errors({"a": 100.0, "b": 10.0, "c": 1.0})
    assert len(worthwhile(parts, score)) == moves


def test_a_layer_with_an_integer_kernel_leaves_it_only_where_the_outputs_are_poor():
    parts = errors({"a": 100.0, "b": 10.0, "c": 1.0}, kernels=["a"])
    assert worthwhile(parts, 19.0)[0] == Floats.layers(["a"])
    assert Floats.layers(["a"]) not in worthwhile(parts, 21.0)


@pytest.mark.parametrize(("size", "weights"), [(0.1, ""), (0.001, "qkv")])
def test_the_layers_that_read_one_activation_read_floats_together(size, weights):
    readers = {"x": frozenset("qkv"), "y": frozenset("o")}
    parts = errors(dict.fromkeys("qkvo", 1e-3), {"x": 10.0, "y": 0.1}, readers, size, "qkvo", float_inputs=True)
    assert worthwhile(parts, 5.0)[0] == Floats(frozenset("qkv"), frozenset(weights))


def test_layers_that_cannot_read_floats_are_in_float_as_a_whole():
    parts = errors({"q": 1e-3, "k": 1e-3}, {"x": 10.0}, {"x": frozenset("qk")}, 0.001, "qk")
    assert worthwhile(parts, 5.0)[0] == Floats.layers("qk")


def test_a_later_round_goes_on_from_what_is_in_float_and_from_what_was_measured():
    parts = errors({"a": 100.0, "b": 10.0, "c": 1.0})
    assert worthwhile(parts, 25.0, Floats.layers(["a"])) == [Floats.layers(["b"])]
    assert worthwhile(parts, 31.0, Floats.layers(["a"])) == []


@pytest.fixture
def model(tmp_path):
    """Return a function that quantizes a chain of three products, the first with a weight far above the others."""
    text = """chain (float[N, 16] x) => (float[N, 64] y) {
        a = MatMul(x, w)
        r = Relu(a)
        b = MatMul(r, v)
        s = Relu(b)
        y = MatMul(s, u)
    }"""
    weights = {"w": RNG.normal(size=(16, 16)), "v": RNG.normal(size=(16, 256)), "u": RNG.normal(size=(256, 64))}
    samples = RNG.normal(size=(64, 16)).astype(np.float32)
    samples[:, 0] *= 0.001
    np.savez(tmp_path / "data.npz", x=samples)

    def run(spec, outlier=300.0):
        weights["w"][0, 0] = outlier
        (tmp_path / "model.onnx").write_bytes(proto_of(text, **weights))
        data = tmp_path / "data.npz"
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        outcome = quantize_model(Inputs(tmp_path / "model.onnx", "m", spec, data, data), out, lambda *_: None)
        return outcome.summary, json.loads((out / "report.json").read_text())

    return run


@pytest.mark.parametrize("preset", ["int8", "int8-weights"])
def test_the_layer_that_costs_most_stays_in_float(model, preset):
    spec = {"preset": preset, "weights": {"granularity": "tensor", "clipping": "minmax"}, "smoothing": "none"}
    without, _ = model({**spec, "keep_float": "none"})
    summary, report = model({**spec, "keep_float": "auto"})
    assert summary.output_sqnr_db > without.output_sqnr_db + 10
    assert [node["name"] for node in report["skipped"] if node["reason"] == REASON] == ["matmul0"]
    assert report["compared"]["kept"].endswith("1 layer in float")
    assert summary.size_ratio < without.size_ratio + 0.05


def test_a_good_model_is_not_searched(model):
    _, report = model({"preset": "int8-weights", "keep_float": "auto"}, outlier=1.0)
    assert not any("in float" in name for name in report["compared"]["output_sqnr_db"])


@pytest.mark.parametrize(("preset", "measured"), [("int8", False), ("int8-weights", True)])
def test_nothing_is_measured_where_no_layer_may_leave_its_kernel(model, monkeypatch, preset, measured):
    """Between the two limits, layers with integer kernels stay quantized: the errors of the parts decide nothing."""
    monkeypatch.setattr(sensitive_layers, "POOR_KERNEL_DB", 10.0)
    runs, measure = [], sensitive_layers.measure_sensitivity
    monkeypatch.setattr(
        sensitive_layers, "measure_sensitivity", lambda *args, **options: runs.append(1) or measure(*args, **options)
    )
    weights = {"granularity": "tensor", "clipping": "minmax"}
    activations = {"mode": "static"} if preset == "int8" else None
    spec = {"preset": preset, "weights": weights, "activations": activations, "smoothing": "none", **UNTIMED}
    model(spec, outlier=20.0)
    assert bool(runs) is measured


def test_a_convolution_with_outliers_in_its_input_reads_floats(tmp_path):
    text = """net (float[N, 4, 6, 6] x) => (float[N, 8, 6, 6] y) {
        r = Abs(x)
        a = Conv<pads = [1, 1, 1, 1]>(r, v)
        c = Relu(a)
        y = Conv(c, u)
    }"""
    weights = RNG.normal(size=(64, 4, 3, 3))
    weights[:, 0] /= 3000
    samples = RNG.normal(size=(32, 4, 6, 6)).astype(np.float32)
    samples[:, 0] *= 3000
    (tmp_path / "model.onnx").write_bytes(proto_of(text, v=weights, u=RNG.normal(size=(8, 64, 1, 1))))
    data = tmp_path / "data.npz"
    np.savez(data, x=samples)

    def run(mode):
        (tmp_path / mode).mkdir()
        spec = {"preset": "int8", "weights": {"clipping": "minmax"}, "keep_float": mode, **UNTIMED}
        inputs = Inputs(tmp_path / "model.onnx", "m", spec, data, data)
        summary = quantize_model(inputs, tmp_path / mode, lambda *_: None).summary
        return summary, json.loads((tmp_path / mode / "report.json").read_text())

    (before, _), (after, report) = run("none"), run("auto")
    assert after.output_sqnr_db > before.output_sqnr_db + 4
    assert after.size_ratio < before.size_ratio + 0.05
    (first, _) = report["layers"]
    assert FLOAT_INPUT_NOTE in first["notes"]
    assert report["compared"]["kept"].endswith("1 layer with float inputs")
