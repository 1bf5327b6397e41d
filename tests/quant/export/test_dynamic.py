"""Layers with dynamic activations."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quant.evaluation.sqnr import sqnr_db
from quant.export.dynamic import round_input
from quant.graph.inventory import inventory
from quant.graph.names import Names
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators
from quant.search.candidates import assemble
from quant.spec import resolve
from quant.weights import storage_form
from quant.weights.layers import choose_layers, quantize_layers
from tests.quant.export.models import float_only, normal, save
from tests.quant.onnx_text import model_of, proto_of
from tests.specs import UNTIMED

DYNAMIC = {"activations": {"mode": "dynamic"}}
MATMUL = "net (float[B, 6, 16] x) => (float[B, 6, 8] y) { y = MatMul (x, w) }"
ATTENTION = """net (float[B, 6, 16] x) => (float[B, 6, 8] y) {
    q = MatMul (x, w) a = Add (q, b) k = MatMul (x, v) s = Mul (a, k) r = Relu (s) y = MatMul (r, u) }"""


def quantized(text, spec, **arrays):
    """Return the float model and the exported one, both serialized."""
    model, resolved = model_of(text, **arrays), resolve(spec)
    layers = quantize_layers(choose_layers(model, resolved, calibrated=False)[0], {}, resolved, lambda *_: None)
    exported, _ = assemble(model, layers, {}, {}, resolved.export.opset)
    return proto_of(text, **arrays), ir.to_proto(exported).SerializeToString()


def sqnr(expected, actual):
    return sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum()))


def rounded(values, levels=255):
    """Return the values rounded as DynamicQuantizeLinear defines it."""
    low, high = min(values.min(), 0), max(values.max(), 0)
    step = np.float32((high - low) / levels)
    zero = np.clip(np.rint(-low / step), 0, levels)
    return (np.clip(np.rint(values / step) + zero, 0, levels) - zero) * step


@pytest.mark.parametrize(
    "form",
    ["y = MatMul (x, w)", "h = MatMul (x, w) y = Add (h, b)", "y = Gemm (x, w, b)", "y = Gemm <transB=1> (x, t, b)"],
)
@pytest.mark.parametrize(
    "spec",
    [
        {"weights": {"clipping": "minmax"}},
        {"weights": {"clipping": "minmax", "granularity": "tensor"}, "export": {"weight_storage": "direct"}},
        {"preset": "int4"},
        {"preset": "codebook4"},
    ],
)
def test_a_product_becomes_one_kernel(form, spec):
    arrays = {"w": normal(16, 80), "b": normal(80)}
    arrays["t"] = arrays["w"].T.copy()
    used = {name: array for name, array in arrays.items() if f" {name})" in form or f" {name}," in form}
    text = f"net (float[B, 16] x) => (float[B, 80] y) {{ {form} }}"
    float_model, exported = quantized(text, {**spec, **DYNAMIC}, **used)
    assert optimised_operators(exported) == {"DynamicQuantizeMatMul": 1, "DequantizeLinear(weight)": 0}
    feeds = {"x": normal(5, 16)}
    assert sqnr(*(Session(model).run(feeds)[0] for model in (float_model, exported))) > (15 if "preset" in spec else 25)


def test_the_input_is_rounded_by_its_own_range():
    weight = np.rint(normal(16, 8)) * 2
    weight[0] = 127.0  # the scale is 1, so that the weights are exact
    _, exported = quantized(MATMUL, {"weights": {"clipping": "minmax"}, **DYNAMIC}, w=weight)
    for size in (0.1, 1.0, 30.0):
        x = size * normal(2, 6, 16)
        assert np.allclose(Session(exported).run({"x": x})[0], rounded(x) @ weight, rtol=1e-4, atol=1e-2 * size)


def test_layers_that_read_one_tensor_share_its_rounding():
    arrays = {"w": normal(16, 8), "b": normal(8), "v": normal(16, 8), "u": normal(8, 8)}
    float_model, exported = quantized(ATTENTION, DYNAMIC, **arrays)
    executed = optimised_operators(exported)
    kernels = ("DynamicQuantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")
    assert [executed[kernel] for kernel in kernels] == [1, 2, 1]
    nodes = {node.name for node in onnx.load_model_from_string(exported).graph.node}
    assert {layer.name for layer in inventory(model_of(ATTENTION, **arrays))[0]} <= nodes
    feeds = {"x": normal(3, 6, 16)}
    assert sqnr(*(Session(model).run(feeds)[0] for model in (float_model, exported))) > 25


def test_a_layer_in_a_body_has_a_dynamic_range(tmp_path):
    nodes, weights, shape = float_only("If")
    path = save(tmp_path, nodes, weights, shape)
    quantize_model(Inputs(path, "m.onnx", {**UNTIMED, **DYNAMIC}), tmp_path, lambda *_: None)
    (layer,) = json.loads((tmp_path / "report.json").read_text())["layers"]
    assert layer["activations"] == "dynamic"
    assert not any("in float" in note for note in layer["notes"])


def test_without_data_other_layers_compute_in_float(tmp_path):
    text = "net (float[B, 3, 4, 4] x) => (float[B, 5] y) { c = Conv (x, w) f = Flatten (c) y = Gemm (f, v) }"
    (tmp_path / "m.onnx").write_bytes(proto_of(text, w=normal(4, 3, 1, 1), v=normal(64, 5)))
    quantize_model(Inputs(tmp_path / "m.onnx", "m.onnx", {**UNTIMED, **DYNAMIC}), tmp_path, lambda *_: None)
    convolution, product = json.loads((tmp_path / "report.json").read_text())["layers"]
    assert (convolution["activations"], product["activations"]) == ("float", "dynamic")
    assert "range of each input" in product["activation_reason"]
    assert any("without calibration data" in note for note in convolution["notes"])
    executed = optimised_operators((tmp_path / "model.onnx").read_bytes())
    assert (executed["DynamicQuantizeMatMul"], executed["DequantizeLinear"]) == (1, 0)


def test_the_input_alone_can_be_rounded():
    weight = normal(16, 8)
    model = model_of(MATMUL, w=weight)
    round_input(inventory(model)[0][0], Names.of(model.graph))
    x = normal(2, 6, 16)
    actual = Session(ir.to_proto(model).SerializeToString()).run({"x": x})[0]
    assert np.allclose(actual, rounded(x) @ weight, atol=1e-4)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("spec", [{}, {"weights": {"granularity": "tensor"}}, {"preset": "codebook4"}])
def test_an_lstm_becomes_one_kernel(monkeypatch, direction, spec):
    monkeypatch.setattr(storage_form, "MIN_DYNAMIC_SIZE", 0)
    directions = 2 if direction == "bidirectional" else 1
    text = f"""net (float[S, B, 20] x) => (float[S, D, B, 24] y, float[D, B, 24] h) {{
        y, h = LSTM <hidden_size=24, direction="{direction}"> (x, w, r, b) }}"""
    arrays = {
        "w": normal(directions, 96, 20) / 4,
        "r": normal(directions, 96, 24) / 5,
        "b": normal(directions, 192) / 9,
    }
    float_model, exported = quantized(text, {**spec, **DYNAMIC}, **arrays)
    assert optimised_operators(exported) == {"DynamicQuantizeLSTM": 1, "DequantizeLinear(weight)": 0}
    feeds = {"x": normal(9, 3, 20)}
    outputs = zip(*(Session(model).run(feeds) for model in (float_model, exported)), strict=True)
    assert all(sqnr(*pair) > (15 if "preset" in spec else 25) for pair in outputs)


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ({}, 5),  # few inputs
        ({"layers": [{"match": "*/R", "skip": True}]}, 20),
        ({"weights": {"pair_sums": "int16"}}, 20),
        ({"export": {"weight_storage": "direct"}}, 20),
    ],
)
def test_another_lstm_computes_in_float(monkeypatch, options, inputs):
    monkeypatch.setattr(storage_form, "MIN_DYNAMIC_SIZE", 0)
    text = f"net (float[S, B, {inputs}] x) => (float[S, 1, B, 24] y) {{ y = LSTM <hidden_size=24> (x, w, r) }}"
    _, exported = quantized(text, {**options, **DYNAMIC}, w=normal(1, 96, inputs), r=normal(1, 96, 24))
    assert optimised_operators(exported)["LSTM"] == 1
