"""Tensors that depend on random numbers are found, in bodies and behind other operators, too."""

import onnx
import onnx_ir as ir
import pytest

from quant.graph.random_values import random_tensors

SIGNATURE = '<ir_version: 10, opset_import: ["" : 21]> g (float[N, 8] x, bool b)'
CASES = {
    "normal": ("r = RandomNormalLike(x) y = Add(x, r) z = Relu(x)", {"r", "y"}),
    "bernoulli": ("p = Sigmoid(x) r = Bernoulli(p) z = Neg(r)", {"r", "z"}),
    "dropout in inference": ("y = Dropout(x)", set()),
    "dropout in training": (
        "h = Constant<value_float = 0.5>() t = Not(b) y, m = Dropout(x, h, t) z = Relu(x)",
        {"y", "m"},
    ),
    "shape of noise": ("r = RandomNormalLike(x) s = Shape(r) y = Reshape(x, s)", {"r"}),
    "in a body": (
        "y = If(b)<then_branch = t () => (float[N, 8] u) { u = RandomUniformLike(x) }, "
        "else_branch = e () => (float[N, 8] v) { v = Relu(x) }> z = Neg(x)",
        {"y"},
    ),
    "read by a body": (
        "r = RandomNormalLike(x) y = If(b)<then_branch = t () => (float[N, 8] u) { u = Relu(r) }, "
        "else_branch = e () => (float[N, 8] v) { v = Relu(x) }>",
        {"r", "y"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_random_tensors(name):
    text, expected = CASES[name]
    output = text.rsplit(" = ", 1)[0].split()[-1] if "body" not in name else "y"
    model = onnx.parser.parse_model(f"{SIGNATURE} => (float[N, M] {output}) {{ {text} }}")
    assert random_tensors(ir.from_proto(model).graph) == expected
