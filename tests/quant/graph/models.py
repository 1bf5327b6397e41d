"""Small ONNX models for the tests of the graph."""

import zlib

import ml_dtypes
import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.runtime import Session

NUMPY = {TensorProto.FLOAT16: np.float16, TensorProto.BFLOAT16: ml_dtypes.bfloat16, TensorProto.FLOAT: np.float32}


def tensor(name, array, kind=TensorProto.FLOAT):
    """An initializer with these values."""
    return helper.make_tensor(name, kind, array.shape, array.astype(NUMPY[kind]).tobytes(), raw=True)


def random_tensor(name, *shape, positive=False):
    """An initializer with random values, the same for the same name."""
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape).astype(np.float32)
    return numpy_helper.from_array(np.abs(values) + 0.5 if positive else values, name)


def model_of(nodes, initializers=(), inputs=None, outputs=("y",), opset=17, *, functions=(), domain=None, ir_version=8):
    """A serialized model.

    `inputs` are shapes, or (type, shape), by name. `outputs` are names, or (type, shape) by name.
    """
    inputs = {
        name: kind if isinstance(kind, tuple) else (TensorProto.FLOAT, kind)
        for name, kind in (inputs or {"x": ["N", 6]}).items()
    }
    if not isinstance(outputs, dict):
        outputs = dict.fromkeys(outputs, (TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        list(initializers),
    )
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=ir_version)
    return model.SerializeToString()


def layer_nodes(op, group=1, bias=False, trans_b=0):
    """A layer from x to h with random weights: the node, its initializers, the shape of x, the output channels."""
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    if op == "Gemm":
        weight = random_tensor("w", 5, 6) if trans_b else random_tensor("w", 6, 5)
        node, shape, channels = helper.make_node("Gemm", inputs, ["h"], transB=trans_b), ["N", 6], 5
    elif op == "Conv":
        weight, channels = random_tensor("w", 4, 6 // group, 3, 3), 4
        node, shape = helper.make_node("Conv", inputs, ["h"], group=group, name="conv"), ["N", 6, 8, 8]
    else:
        weight, channels = random_tensor("w", 6, 4 // group, 3, 3), 4
        node, shape = helper.make_node("ConvTranspose", inputs, ["h"], group=group), ["N", 6, 8, 8]
    return node, [weight, *([random_tensor("b", channels)] if bias else [])], shape, channels


def serialized(model):
    return model if isinstance(model, bytes) else ir.to_proto(model).SerializeToString()


def run(model, feeds):
    """The outputs of a model, given as bytes or as an onnx-ir model."""
    return Session(serialized(model)).run(feeds)


def layers_of(data):
    """The layers of a serialized model in normal form, of which none is skipped."""
    layers, skipped = inventory(normalise(load(data)))
    assert skipped == []
    return layers


def assert_same_outputs(before, after, inputs):
    """Both models give the same outputs on random inputs of these shapes."""
    generator = np.random.default_rng(0)
    feeds = {
        name: generator.normal(size=[3 if isinstance(size, str) else size for size in shape]).astype(np.float32)
        for name, shape in inputs.items()
    }
    for expected, actual in zip(run(before, feeds), run(after, feeds), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
