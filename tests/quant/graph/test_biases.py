"""A shift is added to a layer's output, whatever holds the layer's bias."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.graph.biases import add_to_biases
from quant.graph.inventory import inventory
from quant.runtime import Session
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
SHIFT = np.array([1.0, -2.0, 0.5])
SAMPLES = RNG.normal(size=(2, 4)).astype(np.float32)
W, B = RNG.normal(size=(4, 3)), RNG.normal(size=3)


def run(model):
    return Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]


@pytest.mark.parametrize(("body", "arrays", "nodes"), [
    ("y = Gemm (x, w)", {}, ["Gemm"]),
    ("y = Gemm (x, w, b)", {"b": B}, ["Gemm"]),
    ("y = Gemm (x, w, b)", {"b": B[:1]}, ["Gemm"]),
    ("y = MatMul (x, w)", {}, ["MatMul", "Add"]),
    ("p = MatMul (x, w) y = Add (b, p)", {"b": B}, ["MatMul", "Add"]),
    ("p = MatMul (x, w) y = Add (p, s)", {}, ["MatMul", "Add", "Add"]),
])  # fmt: skip
def test_the_shift_is_added_to_each_channel(body, arrays, nodes):
    shortcut = ", s" in body
    text = f"net (float[N, 4] x) => (float[N, 3] y) {{ {'s = MatMul (x, v) ' if shortcut else ''}{body} }}"
    model = model_of(text, w=W, **arrays, **({"v": W} if shortcut else {}))
    layer = inventory(model)[0][-1]
    before = run(model)
    add_to_biases([layer], {layer.name: SHIFT})
    np.testing.assert_allclose(run(model), before + SHIFT, rtol=1e-5, atol=1e-5)
    assert [node.op_type for node in model.graph][shortcut:] == nodes
    assert str(model.graph.outputs[0].name) == "y"


def test_a_bias_that_is_computed_stays():
    text = "net (float[N, 4, 5] x, float[3] b) => (float[N, 3, 5] y) { y = Conv (x, w, b) }"
    model = model_of(text, w=W.T[:, :, None])
    before = ir.to_proto(model).SerializeToString()
    add_to_biases(inventory(model)[0], {"conv0": SHIFT})
    assert ir.to_proto(model).SerializeToString() == before


@pytest.mark.parametrize("shifts", [{}, {"gemm0": np.zeros(3)}, {"other": SHIFT}])
def test_without_a_shift_the_model_stays(shifts):
    model = model_of("net (float[N, 4] x) => (float[N, 3] y) { y = Gemm (x, w) }", w=W)
    before = ir.to_proto(model).SerializeToString()
    add_to_biases(inventory(model)[0], shifts)
    assert ir.to_proto(model).SerializeToString() == before
