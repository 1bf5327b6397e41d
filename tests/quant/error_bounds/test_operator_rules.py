"""Each rule holds for what ONNX Runtime computes from points of the boxes."""

import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quant.error_bounds.intervals import Box, ErrorInterval
from quant.error_bounds.operator_rules import RULES, Passage, Unbounded
from quant.runtime import Session
from tests.quant.onnx_text import proto_of

RANDOM = np.random.default_rng(0)
SHAPE = (2, 4, 6)
CONSTANTS = {"low": np.array(-0.5), "high": np.array(0.5), "c": RANDOM.normal(size=(2, 1, 1)),
          "pads": np.array([0, 0, 1, 1, 0, 0, 1, 0]), "ends": np.array([4, 5]),
          "axes": np.array([2, 3]), "flat": np.array([0, -1]), "two": np.array([2]),
             "samples": np.array([1, 0, 0, 0] * 2),
          "firsts": np.array([0, 1])}  # fmt: skip
CASES = {
    "Relu": "y = Relu (x)",
    "Clip": "y = Clip (x, low, high)",
    "Min": "y = Min (x, c)",
    "Max": "y = Max (c, x)",
    "Mul": "y = Mul (x, c)",
    "Add": "y = Add (x, z)",
    "Sub": "y = Sub (x, z)",
    "Identity": "y = Identity (x)",
    "Dropout": "y = Dropout (x)",
    "GlobalAveragePool": "y = GlobalAveragePool (x)",
    "AveragePool": "y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)",
    "AveragePool, overlapping": "y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)",
    "MaxPool": "y = MaxPool <kernel_shape = [3, 2], strides = [1, 2]> (x)",
    "Flatten": "y = Flatten (x)",
    "Reshape": "y = Reshape (x, flat)",
    "Squeeze": "y = Squeeze (x)",
    "Unsqueeze": "y = Unsqueeze (x, two)",
    "Transpose": "y = Transpose <perm = [0, 3, 1, 2]> (x)",
    "Concat": "y = Concat <axis = 1> (x, z)",
    "Pad": "y = Pad (x, pads)",
    "Slice": "y = Slice (x, firsts, ends, axes)",
}
REFUSED = {
    "Mul": ("y = Mul (x, z)", "two tensors that both depend on the input"),
    "Reshape": ("y = Reshape (x, two)", "it mixes the samples"),
    "Transpose": ("y = Transpose (x)", "it moves the axis of the samples"),
    "Concat": ("y = Concat <axis = 0> (x, z)", "it joins samples"),
    "Pad": ("y = Pad (x, pads, high)", "only borders of zeros are bounded"),
    "Pad, of samples": ("y = Pad (x, samples)", "it adds samples"),
    "Clip": ("y = Clip (x, z)", "an operand that must be constant depends on the input"),
    "Slice": ("y = Slice (x, firsts, ends)", "it selects samples, or steps backwards"),
}


def interval(shape=SHAPE):
    low, below = RANDOM.normal(size=shape), 0.1 * RANDOM.normal(size=shape)
    value, change = Box(low, low + RANDOM.random(shape)), Box(below, below + 0.1)
    return ErrorInterval(value, change, value.norm(shape), change.norm(shape))


def passage_of(text, operands, after):
    inputs = ", ".join(f"float[N, 2, 4, 6] {name}" for name in operands)
    constants = {name: array for name, array in CONSTANTS.items() if name in re.findall(r"\w+", text)}
    proto = proto_of(f"net ({inputs}) => (float y) {{ {text} }}", **constants)
    node = ir.from_proto(onnx.ModelProto.FromString(proto)).graph[0]

    def operand(index):
        name = str(node.inputs[index].name)
        if name in operands:
            return operands[name]
        box = Box.of(CONSTANTS[name])
        return ErrorInterval(box, Box.of(np.zeros_like(box.low)), box.norm(SHAPE), 0.0)

    return proto, Passage(node, operand, lambda index: (1, *SHAPE), after, {})


@pytest.mark.parametrize("name", CASES)
def test_the_output_of_every_point_is_inside(name):
    operands = {key: interval() for key in ("x", "z") if key in re.findall(r"\w+", CASES[name])}
    proto, _ = passage_of(CASES[name], operands, None)
    session = Session(proto)
    points = [
        {key: RANDOM.uniform(side.value.low, side.value.high) for key, side in operands.items()} for _ in range(50)
    ]
    moved = [
        {key: x + RANDOM.uniform(operands[key].change.low, operands[key].change.high) for key, x in point.items()}
        for point in points
    ]

    def run(batch):
        feeds = {key: np.stack([point[key] for point in batch]).astype(np.float32) for key in operands}
        return session.run(feeds)[0].astype(np.float64)

    outputs, quantized = run(points), run(moved)
    rule = RULES[name.split(",")[0]]
    image = rule(passage_of(CASES[name], operands, (1, *outputs.shape[1:]))[1])
    differences = quantized - outputs
    for values, box in ((outputs, image.value), (differences, image.change)):
        assert (values >= box.low - 1e-5).all()
        assert (values <= box.high + 1e-5).all()
    for values, norm in ((outputs, image.size), (differences, image.error)):
        assert np.linalg.norm(values.reshape(len(values), -1), axis=1).max() <= norm * (1 + 1e-5)


def test_every_rule_has_a_case():
    assert {name.split(",")[0] for name in CASES} == set(RULES)


@pytest.mark.parametrize("name", REFUSED)
def test_a_node_without_a_bound_is_refused_with_the_reason(name):
    text, reason = REFUSED[name]
    _, passage = passage_of(text, {"x": interval(), "z": interval()}, (2, 24))
    with pytest.raises(Unbounded, match=reason):
        RULES[name.split(",")[0]](passage)
