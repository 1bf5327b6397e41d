"""Every constant float32 weight is a layer, and every other node of these operators is skipped with a reason."""

import numpy as np
import pytest

from quant.graph.inventory import inventory
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(6, 5))


def layers_and_skipped(body, inputs="float[N, 6] x", **arrays):
    return inventory(model_of(f"net ({inputs}) => (float y) {{ {body} }}", **arrays))


def test_the_weight_is_read_from_the_graph():
    (layer,), skipped = layers_and_skipped("y = MatMul (x, w)", w=MATRIX)
    np.testing.assert_array_equal(layer.weight, MATRIX.astype(np.float32))
    assert (layer.name, layer.op, layer.weight_name) == ("matmul0", "MatMul", "w")
    assert (layer.shape, layer.size, layer.reduced_axis, layer.output_channels) == ((6, 5), 30, 0, 5)
    assert skipped == []


@pytest.mark.parametrize(("body", "arrays", "reason"), [
    ("z = Relu (x) t = Transpose (z) y = MatMul (x, t)", {}, "its weight is computed at run time"),
    ("y = MatMul (x, w)", {"w": MATRIX[:, 0]}, "its weight is a vector"),
    ("y = MatMul (x, w)", {"w": np.zeros((6, 0))}, "its weight is empty"),
])  # fmt: skip
def test_a_node_without_a_weight_to_quantize_is_skipped_with_the_reason(body, arrays, reason):
    layers, (skipped,) = layers_and_skipped(body, **arrays)
    assert layers == []
    assert (skipped.op, skipped.reason, skipped.quantized) == ("MatMul", reason, False)


def test_a_weight_of_another_type_is_skipped_with_the_type():
    layers, (skipped,) = layers_and_skipped("y = MatMul (x, w)", "int32[N, 6] x", w=np.ones((6, 5), np.int32))
    assert layers == []
    assert skipped.reason == "its weight is int32; float32 is quantized"


def test_a_lookup_is_a_layer_only_if_its_table_is_a_matrix_of_floats():
    body = "e = Gather (table, i) s = Shape (e) n = Gather (s, i) y = Cast <to = 1> (n)"
    layers, skipped = layers_and_skipped(body, "int64[N] i", table=MATRIX)
    assert [layer.op for layer in layers] == ["Gather"]
    assert skipped == []
    assert layers[0].float_only == "a lookup has no arithmetic"


def test_layers_that_share_a_weight_are_listed_each():
    layers, _ = layers_and_skipped("a = MatMul (x, w) b = MatMul (x, w) y = Add (a, b)", w=MATRIX)
    assert [layer.weight_name for layer in layers] == ["w", "w"]


def test_a_layer_in_a_body_computes_in_float():
    body = """r = ReduceMax <keepdims = 0> (x) z = Sub (r, r) c = Less (z, r)
        y = If (c) <then_branch = t () => (float[N, 5] p) { p = MatMul (x, w) },
                    else_branch = e () => (float[N, 5] q) { q = MatMul (x, w) }>"""
    layers, _ = layers_and_skipped(body, w=MATRIX)
    assert len(layers) == 2
    assert {layer.float_only for layer in layers} == {"its activations lie in the body of an If, Loop or Scan"}
