"""Activations are quantized where an integer kernel reads or writes them, and nowhere else."""

import numpy as np
import pytest

from quant.graph.inventory import inventory
from quant.graph.placement import fused_output, place
from tests.quant.onnx_text import model_of, node_of

RNG = np.random.default_rng(0)
W, ZERO, SIX = RNG.normal(size=(4, 4, 1, 1)), np.zeros(()), np.array(6.0)
BORDERS = np.array([0, 1, 0, 0, 0, 0, 0, 0])  # a channel of zeros; zeros around the map would go into the Conv


def placement(body, output="float[N, 4, H, V] y", **arrays):
    model = model_of(f"net (float[N, 4, 5, 5] x) => ({output}) {{ {body} }}", **arrays)
    return place(model.graph, [layer for layer in inventory(model)[0] if layer.float_only is None])


def test_inputs_and_outputs_of_layers_are_quantized():
    found = placement("a = Conv (x, w) r = Relu (a) y = Conv (r, v)", w=W, v=W)
    assert found.values == ("x", "r", "y")
    assert found.ties == {}


def test_the_output_of_a_product_stays_in_float_unless_a_layer_reads_it():
    text = "net (float[N, 4] x) => (float[N, 4] y) {{ p = Gemm (x, w) {} y = Gemm (q, v) }}"
    arrays = {"w": W[:, :, 0, 0], "v": W[:, :, 0, 0]}
    read, not_read = (model_of(text.format(node), **arrays) for node in ("q = Relu (p)", "q = Tanh (p)"))
    assert place(read.graph, inventory(read)[0]).values == ("x", "q")
    assert place(not_read.graph, inventory(not_read)[0]).values == ("x", "q")  # p is read by no integer kernel


@pytest.mark.parametrize(("node", "arrays", "tied"), [
    ("m = MaxPool <kernel_shape = [2, 2]> (a)", {}, True),
    ("m = Pad (a, borders)", {"borders": BORDERS}, True),
    ("m = Pad (a, borders, six)", {"borders": BORDERS, "six": SIX}, False),
    ("m = Tanh (a)", {}, False),
])  # fmt: skip
def test_a_node_that_copies_elements_shares_the_scale_of_its_input(node, arrays, tied):
    reader = RNG.normal(size=(4, 5 if "borders" in arrays else 4, 1, 1))
    found = placement(f"a = Conv (x, w) {node} y = Conv (m, v)", w=W, v=reader, **arrays)
    assert found.ties == ({"m": "a"} if tied else {})
    assert found.observed == ["x", "a", "y"] if tied else ["x", "a", "m", "y"]


@pytest.mark.parametrize(("other", "quantized"), [("d = Conv (x, u)", True), ("d = Tanh (x)", False)])
def test_a_sum_is_quantized_if_all_its_operands_are(other, quantized):
    arrays = {"u": W} if quantized else {}
    found = placement(f"c = Conv (x, w) {other} s = Add (c, d) t = Tanh (s) y = Conv (t, v)", w=W, v=W, **arrays)
    assert ("s" in found.values) == quantized


@pytest.mark.parametrize(("node", "arrays", "fuses"), [
    ("y = Relu (a)", {}, True),
    ("y = Clip (a, zero, six)", {"zero": ZERO, "six": SIX}, True),
    ("b = ReduceMax <keepdims = 0> (x) y = Clip (a, zero, b)", {"zero": ZERO}, False),
    ("y = Tanh (a)", {}, False),
])  # fmt: skip
def test_a_relu_or_clip_with_constant_bounds_is_fused(node, arrays, fuses):
    model = model_of(f"net (float[N, 4, 5, 5] x) => (float[N, 4, 5, 5] y) {{ a = Conv (x, w) {node} }}", w=W, **arrays)
    assert str(fused_output(node_of(model, "Conv")).name) == ("y" if fuses else "a")


def test_a_value_that_is_to_stay_in_float_does_so_with_all_that_copies_it_unless_a_layer_reads_it():
    body = "a = Conv (x, w) b = Conv (x, v) c = Concat <axis = 1> (a, b) m = MaxPool <kernel_shape = [1, 1]> (c) "
    begin, weights = "net (float[N, 4, 5, 5] x) => (float[N, C, H, V] y) { ", {"w": W, "v": W}
    ends = model_of(f"{begin}{body} y = Tanh (m) }}", **weights)
    read = model_of(f"{begin}{body} y = Conv (c, u) }}", u=RNG.normal(size=(4, 8, 1, 1)), **weights)
    assert place(ends.graph, inventory(ends)[0]).values == ("x", "a", "b", "c", "m")
    assert place(ends.graph, inventory(ends)[0], in_float={"c"}).values == ("x", "a", "b")
    assert "c" in place(read.graph, inventory(read)[0], in_float={"c"}).values
