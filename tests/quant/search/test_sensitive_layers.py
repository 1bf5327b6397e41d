"""Layers that stay in float for their error at the output."""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.search import sensitive_layers
from quant.search.sensitive_layers import DB_PER_SIZE, REASON, Errors, worthwhile
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)


def errors(weights, activations=None, readers=None, size=0.001, kernels=()):
    return Errors(weights, activations or {}, readers or {}, dict.fromkeys(weights, size), frozenset(kernels))


def test_layers_are_taken_out_by_their_error_per_byte():
    sequence = worthwhile(errors({"a": 1.0, "b": 100.0, "c": 10.0, "d": 1e-6}), 5.0)
    assert [set(move) for move in sequence] == [{"b"}, {"c"}, {"a"}]


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
    assert worthwhile(parts, 19.0)[0] == {"a"}
    assert {"a"} not in worthwhile(parts, 21.0)


def test_the_layers_that_read_one_activation_are_taken_out_together():
    readers = {"x": frozenset(("q", "k", "v")), "y": frozenset(("o",))}
    parts = errors(dict.fromkeys("qkvo", 1e-3), {"x": 10.0, "y": 0.1}, readers, kernels=[*"qkvo"])
    assert worthwhile(parts, 5.0)[0] == {"q", "k", "v"}


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
    model({"preset": preset, "weights": weights, "smoothing": "none", **UNTIMED}, outlier=20.0)
    assert bool(runs) is measured
