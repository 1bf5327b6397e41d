"""Zero borders are folded into the convolutions that read them."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.pads import fold_pads, has_borders
from tests.quant.graph.models import assert_same_outputs, model_of, random_tensor


@pytest.mark.parametrize(("pads", "mode", "folds"), [
    ([0, 0, 1, 0, 0, 0, 2, 1], "constant", True),
    ([0, 1, 1, 0, 0, 0, 0, 0], "constant", False),
    ([0, 0, 1, 1, 0, 0, 1, 1], "edge", False),
    ([0, 0, -1, 0, 0, 0, 0, 0], "constant", False),
])  # fmt: skip
def test_borders_of_zeros_go_into_the_convolutions_behind_them(pads, mode, folds):
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"], mode=mode),
        helper.make_node("Conv", ["p", "w"], ["y"], pads=[0, 1, 0, 0]),
    ]
    initializers = [numpy_helper.from_array(np.array(pads), "pads"), random_tensor("w", 4, 3 + pads[1], 3, 3)]
    data = model_of(nodes, initializers, {"x": ["N", 3, 6, 6]}, opset=21, ir_version=10)
    model = load(data)
    fold_pads(model)
    assert (not next(iter(model.graph)).outputs[0].uses()) == folds
    assert_same_outputs(data, model, {"x": ["N", 3, 6, 6]})


def test_a_pad_that_another_node_reads_stays():
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["y"]),
        helper.make_node("Relu", ["p"], ["z"]),
    ]
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
    data = model_of(nodes, [pads, random_tensor("w", 4, 3, 3, 3)], {"x": ["N", 3, 6, 6]}, ("y", "z"))
    model = load(data)
    fold_pads(model)
    assert len(next(iter(model.graph)).outputs[0].uses()) == 2
    assert_same_outputs(data, model, {"x": ["N", 3, 6, 6]})


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, False), ({"pads": [0, 0, 0, 0]}, False), ({"pads": [0, 1, 0, 0]}, True),
        ({"auto_pad": "VALID"}, False), ({"auto_pad": "SAME_UPPER"}, True), ({"auto_pad": "SAME_LOWER"}, True),
    ],
)  # fmt: skip
def test_a_convolution_has_borders_if_it_pads_its_input(attributes, expected):
    conv = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    model = load(model_of([conv], [random_tensor("w", 4, 3, 3, 3)], {"x": ["N", 3, 6, 6]}))
    assert has_borders(next(iter(model.graph))) == expected
