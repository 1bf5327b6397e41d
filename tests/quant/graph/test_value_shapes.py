"""Tensors whose shape depends on values are found, and those whose shape depends on shapes only are not."""

import onnx
import onnx_ir as ir
import pytest

from quant.graph.value_shapes import value_shaped

SIGNATURE = '<ir_version: 10, opset_import: ["" : 21]> g (float[N, 8] x, float[1, N, 4] boxes, float[1, 1, N] scores)'
CASES = {
    "NonZero": ("y = Relu(x) n = NonZero(y) t = Transpose(n)", {"n", "t"}),
    "Unique": ("u, i = Unique(x) r = Relu(u)", {"u", "i", "r"}),
    "NMS": (
        "a = Constant<value_ints = [3]>() n = NonMaxSuppression(boxes, scores, a) g1 = Gather(boxes, n) r = Relu(x)",
        {"n", "g1"},
    ),
    "Compress": ("b = Cast<to = 9>(x) c = Compress(x, b)", {"c"}),
    "durations": (
        "d = ReduceSum<keepdims = 0>(x) k = Cast<to = 7>(d) o = Constant<value_int = 1>() r = Range(o, k, o) "
        "e = Neg(r)",
        {"r", "e"},
    ),
    "size of a selection": ("n = NonZero(x) s = Shape(n) c = ConstantOfShape(s) m = Relu(x)", {"n", "c"}),
    "reshape by a shape": ("s = Shape(x) r = Reshape(x, s) e = Expand(x, s)", set()),
    "top k of a constant": ("k = Constant<value_ints = [3]>() t, i = TopK(x, k)", set()),
    "fixed slice": ("a = Constant<value_ints = [0]>() b = Constant<value_ints = [2]>() s = Slice(x, a, b)", set()),
}


@pytest.mark.parametrize("name", CASES)
def test_value_shaped_tensors(name):
    text, expected = CASES[name]
    output = text.rsplit(" = ", 1)[0].split()[-1]
    model = onnx.parser.parse_model(f"{SIGNATURE} => (float[N, M] {output}) {{ {text} }}")
    assert value_shaped(ir.from_proto(model).graph) == expected
