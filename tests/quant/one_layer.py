"""Models of one layer without a bias, and the rounding problem of a MatMul, for the tests of several stages."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.input_moments import SecondMoments
from quant.calibration.moment_observer import MomentObserver
from quant.calibration.observers import observe
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.layer_problem import LayerProblem
from quant.weights.quantize import fit_weight

KINDS = {
    "conv": ("Conv", (6, 3, 3, 3), (3, 7, 8), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    "dilated": ("Conv", (4, 3, 3, 2), (3, 9, 9), {"dilations": [2, 3]}),
    "grouped": ("Conv", (6, 2, 3, 3), (4, 6, 6), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ("Conv", (5, 1, 3, 3), (5, 6, 6), {"group": 5, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "one_axis": ("Conv", (4, 3, 5), (3, 20), {}),
    "transposed": ("ConvTranspose", (4, 3, 3, 3), (4, 5, 6), {"group": 2, "strides": [2, 3], "pads": [1, 0, 1, 2]}),
    "gemm": ("Gemm", (7, 5), (7,), {}),
    "gemm_transposed": ("Gemm", (5, 7), (7,), {"transB": 1}),
    "matmul": ("MatMul", (7, 5), (4, 7), {}),
}
"""Operator, shape of the weight, shape of a sample and attributes."""


def model_of(op, weight, sample, attributes):
    """Return a normalised model of one layer with a random weight of this shape."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], **attributes)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *sample])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.random.default_rng(2).normal(size=weight).astype(np.float32), "w")],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return normalise(load(proto.SerializeToString()))


def moments_of(model, layers, data):
    """Return the moments of the layers' inputs, measured on a dataset."""
    observer = MomentObserver(model, [(layer, True) for layer in layers], data)
    observe(weightless(model), data, [observer], lambda *_: None)
    return observer.moments()


def problem_of(outputs, inputs):
    """Return the rounding problem and the fitted weight of a MatMul with correlated, non-negative inputs."""
    (layer,), _ = inventory(model_of("MatMul", (inputs, outputs), (inputs,), {}))
    random = np.random.default_rng(1)
    mixing = random.normal(size=(inputs, inputs)) + 0.5
    rows = np.maximum(random.normal(size=(4000, inputs)) @ mixing, 0) / np.sqrt(inputs)
    moments = SecondMoments((rows.T @ rows / len(rows))[None], rows.mean(axis=0)[None])
    fitted = fit_weight(layer.weight, PerChannel(layer.axis), resolve({"preset": "int4-weights"}).weights)
    return LayerProblem.from_layer(layer, PerChannel(1), moments), fitted


def output_error(difference, hessian):
    """Return dW H dW^T of each output: (G, O) from differences (G, O, K) and moments (G, K, K)."""
    return np.einsum("gok,gkl,gol->go", difference, hessian, difference)
