"""Local functions are inlined, or refused."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from quant.errors import UnsupportedOperator
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from tests.quant.graph.models import layers_of, model_of, run, tensor

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def function(opset=17):
    nodes = [
        helper.make_node("Constant", [], ["w"], value=tensor("w", np.eye(6, 5, dtype=np.float32) * 2)),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
    ]
    return helper.make_function("own", "Layer", ["a"], ["b"], nodes, [helper.make_opsetid("", opset)])


def test_local_functions_are_inlined():
    nodes = [
        helper.make_node("Layer", ["x"], ["y"], domain="own"),
        helper.make_node("Layer", ["x"], ["z"], domain="own"),
    ]
    outputs = {"y": (TensorProto.FLOAT, None), "z": (TensorProto.FLOAT, None)}
    data = model_of(nodes, outputs=outputs, functions=[function()], domain="own")
    layers = layers_of(data)
    assert [layer.op for layer in layers] == ["MatMul", "MatMul"]
    assert len({layer.name for layer in layers}) == 2
    x = {"x": normal(3, 6)}
    for before, after in zip(run(data, x), run(normalise(load(data)), x), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-5)


def test_a_function_of_another_opset_is_refused():
    data = model_of([helper.make_node("Layer", ["x"], ["y"], domain="own")], functions=[function(13)], domain="own")
    with pytest.raises(UnsupportedOperator, match="Opset mismatch"):
        normalise(load(data))
