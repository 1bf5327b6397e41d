"""Models in float16, and constants that are stored so."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import openvino
import pytest

from quant.export.float16 import SEEN_MAX, StoredHalves, convert_to_float16
from quant.export.float_storage import MIN_SIZE, store_as_float16
from quant.graph.signature import signature_of
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.quant.onnx_text import model_of, proto_of

RNG = np.random.default_rng(0)
MLP = "net (float[N, 16] x) => (float[N, 8] y) { h = MatMul (x, w) r = Relu (h) y = Gemm (r, v, b) }"
ARRAYS = {"w": RNG.normal(size=(16, 16)), "v": RNG.normal(size=(16, 8)), "b": RNG.normal(size=8)}
SAMPLES = RNG.normal(size=(32, 16)).astype(np.float32)


def outputs(model, **feeds):
    return Session(ir.to_proto(model).SerializeToString()).run(feeds)


def converted(text, magnitudes=None, **arrays):
    """Return the float model and the model in float16, with the reasons of the nodes that stay in float32."""
    model, half = model_of(text, **arrays), model_of(text, **arrays)
    _, float32 = convert_to_float16(half, magnitudes or {})
    assert signature_of(half) == signature_of(model)
    return model, half, {node.name: node.reason for node in float32}


def test_a_model_in_float16_has_half_the_size_and_the_same_ports():
    model, half, float32 = converted(MLP, **ARRAYS)
    assert float32 == {}
    constants = [value.dtype for value in half.graph.initializers.values()]
    assert constants == [ir.DataType.FLOAT16] * 3
    np.testing.assert_allclose(*(outputs(m, x=SAMPLES)[0] for m in (half, model)), atol=0.05)
    assert outputs(half, x=SAMPLES)[0].dtype == np.float32


def test_the_float_model_does_not_change():
    model = model_of(MLP, **ARRAYS)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    convert_to_float16(model.clone(), {})
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("text", "arrays", "magnitudes", "node", "reason"),
    [
        ("y = Mul (x, w)", {"w": np.array(1e6)}, {}, "mul0", "exceed it"),
        ("y = Add (x, w)", {"w": np.array(1e-12)}, {}, "add0", "too small"),
        ("y = Add (x, w)", {"w": np.full((1, 16), 1e-7)}, {}, "add0", "too small"),
        ("h = Neg (x) y = Abs (h)", {}, {"h": 1.1 * SEEN_MAX}, "neg0", "exceed it"),
        ("h = Neg (x) y = Abs (h)", {}, {"h": 1.1 * SEEN_MAX}, "abs1", "exceed it"),
        ("y = Softmax (x)", {}, {}, "softmax0", "range of float32"),
        ("y = LayerNormalization (x, w)", {"w": np.ones(16)}, {}, "layernormalization0", "range of float32"),
    ],
)
def test_nodes_stay_in_float32_where_float16_is_too_small(text, arrays, magnitudes, node, reason):
    text = f"net (float[N, 16] x) => (float[N, 16] y) {{ {text} }}"
    model, half, float32 = converted(text, magnitudes, **arrays)
    assert reason in float32[node]
    np.testing.assert_allclose(*(outputs(m, x=SAMPLES)[0] for m in (half, model)), rtol=2e-3, atol=2e-3)


def test_large_values_of_the_calibration_set_do_not_become_infinite(tmp_path):
    text = (
        "net (float[N, 16] x) => (float[N, 8] y, float[N, 16] s) "
        "{ h = MatMul (x, w) s = Mul (h, h) t = Sqrt (s) y = Gemm (t, v, b) }"
    )
    (tmp_path / "m.onnx").write_bytes(proto_of(text, **{**ARRAYS, "w": 1e3 * ARRAYS["w"]}))
    np.savez(tmp_path / "c.npz", x=SAMPLES)
    data, spec = (tmp_path / "c.npz", tmp_path / "c.npz"), {"preset": "fp16", "measure": {"latency": False}}
    quantize_model(Inputs(tmp_path / "m.onnx", "m.onnx", spec, *data), tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"mul1", "sqrt2"} <= {node["name"] for node in report["float16"]["float32_nodes"]}
    assert all(output["sqnr_db"] > 50 for output in report["outputs"])
    assert report["float16"]["sqnr_db"] > 65
    for values in Session((tmp_path / "model.onnx").read_bytes()).run({"x": SAMPLES}):
        assert np.isfinite(values).all()


def test_bodies_and_integers_stay_as_they_are():
    text = (
        "net (bool c, float[N, 16] x) => (float[N, 16] y, int64[2] n) { h = Neg (x) n = Shape (h) "
        "y = If (c) <then_branch = t () => (float[N, 16] a) { a = Abs (h) }, "
        "else_branch = e () => (float[N, 16] b) { b = Neg (h) }> }"
    )
    model, half, _ = converted(text)
    for flag in (True, False):
        feeds = {"c": np.array(flag), "x": SAMPLES}
        for actual, expected in zip(outputs(half, **feeds), outputs(model, **feeds), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-3)


def test_a_constant_of_both_types_is_stored_once():
    text = (
        "net (bool c, float[N, 16] x) => (float[N, 16] y) { h = MatMul (x, w) "
        "y = If (c) <then_branch = t () => (float[N, 16] a) { a = MatMul (h, w) }, "
        "else_branch = e () => (float[N, 16] b) { b = Neg (h) }> }"
    )
    model, half, _ = converted(text, w=ARRAYS["w"])
    assert [value.dtype for value in half.graph.initializers.values()] == [ir.DataType.FLOAT16]
    feeds = {"c": np.array(True), "x": SAMPLES}
    np.testing.assert_allclose(outputs(half, **feeds)[0], outputs(model, **feeds)[0], atol=0.1)


def test_infinite_constants_have_no_error():
    stored = StoredHalves()
    stored.round(np.array([1.0, -np.inf], np.float32))
    assert (stored.signal, stored.noise, stored.values) == (1.0, 0.0, 2)


def test_openvino_agrees_on_a_model_in_float16():
    _, half, _ = converted(MLP, **ARRAYS)
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(ir.to_proto(half).SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    np.testing.assert_allclose(compiled({"x": SAMPLES})[0], outputs(half, x=SAMPLES)[0], atol=0.05)


def test_constants_are_stored_as_float16_where_that_pays():
    model = model_of(MLP, **ARRAYS)
    expected = outputs(model, x=SAMPLES)[0]
    stored = store_as_float16(model)
    types = {value.name: value.dtype for value in model.graph.initializers.values()}
    assert sorted(map(str, types.values())) == ["FLOAT", "FLOAT16", "FLOAT16"]
    assert stored.values == 16 * 16 + 16 * 8
    np.testing.assert_allclose(outputs(model, x=SAMPLES)[0], expected, atol=0.02)


@pytest.mark.parametrize("value", [1e6, np.inf])
def test_constants_beyond_the_range_are_stored_as_they_are(value):
    array = RNG.normal(size=(1, MIN_SIZE))
    array[0, 0] = value
    model = model_of("net (float[N, 64] x) => (float[N, 64] y) { y = Mul (x, w) }", w=array)
    assert store_as_float16(model).values == 0
    onnx.checker.check_model(ir.to_proto(model))
