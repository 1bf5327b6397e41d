"""A small network of convolutions whose channels differ much in size."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise

SAMPLES = np.random.default_rng(1).normal(size=(4, 3, 6, 6)).astype(np.float32) * 3


def network(activation, spread=20.0, dead=False, upper=6.0):
    """Conv, activation, depthwise Conv, activation, Conv, with channels of very different size."""
    random = np.random.default_rng(0)
    sizes = np.geomspace(1 / spread, spread, 4).reshape(-1, 1, 1, 1)
    arrays = {"w1": random.normal(size=(4, 3, 3, 3)) * sizes, "b1": random.normal(size=4),
              "w2": random.normal(size=(4, 1, 3, 3)), "w3": random.normal(size=(5, 4, 1, 1)),
              "zero": np.array(0.0), "six": np.array(upper)}  # fmt: skip
    if dead:
        arrays["w1"][0] = 0
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1])]
    for number, group in ((2, 4), (3, 1)):
        source = f"c{number - 1}"
        if activation in ("Relu", "Sigmoid", "Clip"):
            inputs = [source, "zero", "six"] if activation == "Clip" else [source]
            nodes.append(helper.make_node(activation, inputs, [f"r{number - 1}"]))
            source = f"r{number - 1}"
        target = "y" if number == 3 else f"c{number}"
        nodes.append(helper.make_node("Conv", [source, f"w{number}"], [target], f"conv{number}", group=group))
    outputs = ["y"]
    if activation == "branch":
        nodes += [helper.make_node("Relu", ["c1"], ["z1"]), helper.make_node("Relu", ["c2"], ["z2"])]
    if activation == "output":
        outputs += ["c1", "c2"]
    if activation == "branch":
        outputs += ["z1", "z2"]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(load(proto.SerializeToString()))
