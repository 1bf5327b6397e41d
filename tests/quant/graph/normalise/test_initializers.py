"""Constants become initializers."""

import numpy as np
from onnx import helper, numpy_helper

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.initializers import lift_constants
from quant.graph.normalise.normalise import normalise
from tests.quant.graph.models import assert_same_outputs, model_of, random_tensor


def test_weights_in_constant_nodes_and_behind_a_reshape_are_found():
    nodes = [
        helper.make_node("Constant", [], ["raw"], value=random_tensor("", 2, 3, 5)),
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([6, 5]))),
        helper.make_node("Reshape", ["raw", "shape"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    data = model_of(nodes, [], {"x": ["N", 6]})
    model = normalise(load(data))
    layers, skipped = inventory(model)
    assert [(layer.op, layer.weight.shape, layer.axis) for layer in layers] == [("MatMul", (6, 5), 1)]
    assert skipped == []
    assert_same_outputs(data, model, {"x": ["N", 6]})


def test_a_default_value_of_an_input_becomes_an_initializer_only():
    data = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [random_tensor("w", 6, 5)],
        {"x": ["N", 6], "w": [6, 5]},
    )
    model = load(data)
    lift_constants(model)
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert_same_outputs(data, model, {"x": ["N", 6]})
