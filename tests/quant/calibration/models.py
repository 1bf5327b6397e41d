"""Small models for the tests of calibration: one with many activations, and some with BatchNormalization."""

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise

SAMPLES = np.random.default_rng(0).normal(size=(20, 3, 9, 7)).astype(np.float32)
ACTIVATIONS = ["relu", "clip", "high", "sigmoid", "low", "conv", "flat", "pooled"]
TEXT = """<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 3, 9, 7] x) => (float[N, 4, 9, 7] low, float[N, 252] flat, float[N, 4, 9, 7] pooled)
    <float[4, 3, 1, 1] w = {WEIGHTS}, float zero = {0.0}, float one = {1.0}, float six = {6.0}, float less = {-1.0},
     int64[2] rows = {-1, 252}> {
        conv = Conv (x, w)
        relu = Relu (conv)
        clip = Clip (conv, zero, six)
        high = Clip (conv, one, six)
        low = Clip (conv, less, six)
        sigmoid = Sigmoid (conv)
        plain = Reshape (conv, rows)
        flat = Relu (plain)
        sum = Add (relu, clip)
        sums = Add (high, sigmoid)
        pooled = Add (sum, sums)
    }""".replace("WEIGHTS", ", ".join(map(str, np.random.default_rng(1).normal(size=12))))
MAPS = {"relu", "clip", "high", "sigmoid"}
INPUT_MEAN, INPUT_DEVIATION = [0.5, -1.0, 2.0], 2.0


def activations_model():
    """Return a model whose activations are maps and others, with negative values and without."""
    return ir.from_onnx_text(TEXT)


def padded_network(random):
    """Return Conv, BatchNormalization, Slice and Pad, and the weight.

    The statistics are those of an input with means INPUT_MEAN and deviation INPUT_DEVIATION.
    """
    weight = random.normal(size=(6, 3, 3, 3)).astype(np.float32)
    arrays = {"w": weight, "g": np.ones(6), "b": np.zeros(6), "m": weight.sum(axis=(2, 3)) @ INPUT_MEAN,
              "v": INPUT_DEVIATION**2 * (weight**2).sum(axis=(1, 2, 3))}  # fmt: skip
    integers = {"from": [0, 0], "to": [9, 9], "axes": [2, 3], "steps": [2, 2], "pads": [0, 1, 0, 0, 0, 2, 0, 0]}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"]),
        helper.make_node("Slice", ["c", "from", "to", "axes", "steps"], ["s"]),
        helper.make_node("Pad", ["s", "pads"], ["p"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, 9])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("n", "p")],
        [*(numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()),
         *(numpy_helper.from_array(np.array(array), name) for name, array in integers.items())],
    )  # fmt: skip
    return _loaded(graph), weight


def network():
    """Return Conv, BatchNormalization, Clip, Conv, BatchNormalization, Relu and depthwise Conv on maps of 5 by 5.

    The model is normalised; the second value holds the moments that its BatchNormalization implies.
    """
    random = np.random.default_rng(4)
    arrays = {"w1": random.normal(size=(4, 3, 3, 3)), "w2": random.normal(size=(4, 4, 3, 3)) + 0.2,
              "w3": random.normal(size=(4, 1, 1, 1)), "six": np.array(6.0), "zero": np.array(0.0)}  # fmt: skip
    for number in (1, 2):
        arrays[f"g{number}"], arrays[f"v{number}"] = random.uniform(0.5, 2, 4), random.uniform(0.5, 2, 4)
        arrays[f"b{number}"], arrays[f"m{number}"] = random.normal(size=4), random.normal(size=4)
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "g1", "b1", "m1", "v1"], ["n1"]),
        helper.make_node("Clip", ["n1", "zero", "six"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c2", "g2", "b2", "m2", "v2"], ["n2"]),
        helper.make_node("Relu", ["n2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3"], ["y"], "depthwise", group=4),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )  # fmt: skip
    model = _loaded(graph)
    known = batchnorm_moments(model)
    return normalise(model), known


def _loaded(graph):
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return load(proto.SerializeToString())
