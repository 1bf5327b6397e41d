"""Models of one layer, for the tests of the export."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quant.evaluation.sqnr import sqnr_db
from quant.runtime import Session

RNG = np.random.default_rng(0)


def normal(*shape):
    """Return standard normal float32 values."""
    return RNG.normal(size=shape).astype(np.float32)


def matrices(op):
    """Return nodes, weights and input shape of one matrix product with 40 inputs, which are no multiple of a block."""
    weights = {"w": normal(40, 24)}
    if op == "MatMulAdd":
        nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
        weights["b"] = normal(1, 24)
    elif op in ("MatMul", "ClipMatMul"):
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    else:
        weights["b"] = normal(24)
        nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=int(op == "GemmTransB"))]
        weights["w"] = weights["w"].T.copy() if op == "GemmTransB" else weights["w"]
    if op in ("ReluGemm", "ClipMatMul"):
        nodes[0].input[0] = "r"
        first = ["Relu", ["x"]] if op == "ReluGemm" else ["Clip", ["x", "low", "high"]]
        weights |= {} if op == "ReluGemm" else {"low": np.float32(-1), "high": np.float32(1)}
        nodes.insert(0, helper.make_node(*first, ["r"]))
    return nodes, weights, ["N", 40]


def float_only(op):
    """Return nodes, weights and input shape of one layer that ONNX Runtime only computes in float."""
    if op in ("LSTM", "GRU", "RNN"):
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
        weights = {"w": normal(1, gates * 32, 64) / 4, "r": normal(1, gates * 32, 32) / 4}
        return [helper.make_node(op, ["x", "w", "r"], ["", "y"], hidden_size=32)], weights, [5, 2, 64]
    if op == "Gather":
        return [helper.make_node("Gather", ["w", "x"], ["y"])], {"w": normal(60, 64)}, ["N", 3]
    if op == "ConvTranspose":
        node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=2)
        return [node], {"w": normal(16, 12, 3, 3)}, [1, 16, 5, 5]
    if op == "LeftMatMul":
        return [helper.make_node("MatMul", ["w", "x"], ["y"])], {"w": normal(48, 64)}, [64, 3]
    branches = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"])] if name == "then"
            else [helper.make_node("Identity", ["x"], [f"y{name}"])],
            name, [], [helper.make_tensor_value_info(f"y{name}", TensorProto.FLOAT, [3, 48])],
            [numpy_helper.from_array(normal(48, 48), f"w{name}")] if name == "then" else [],
        )
        for name in ("then", "else")
    ]  # fmt: skip
    node = helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1])
    return [node], {"yes": np.array(True)}, [3, 48]


def save(folder, nodes, weights, shape, kind=TensorProto.FLOAT):
    """Write a model with one input `x` and one output `y`, and return its path."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )  # fmt: skip
    path = folder / "float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def agreement(path, data, shape):
    """Return the output SQNR in dB of the exported model on random input."""
    feeds = {"x": normal(*shape)}
    expected, actual = (Session(model).run(feeds)[0] for model in (path.read_bytes(), data))
    return sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum()))
