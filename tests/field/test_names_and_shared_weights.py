"""Any legal name may be taken, a weight that several graphs read is stored once, and constants are folded."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.specs import UNTIMED

SUFFIXES = (
    "w_folded", "w_folded_bias", "w_scale", "w_zero_point", "w_codes", "w_dequantized", "w_int32", "w_indices",
    "w_codebook", "w_levels", "w_int8", "c_scale", "c_quantized", "c_dequantized", "x_scale", "x_zero_point",
    "x_quantized", "x_dequantized", "conv_bias", "conv_bias_codes", "conv_bias_scale", "conv_corrected_bias",
    "conv_add_bias", "fc_bias", "fc_add_bias", "h_unbiased", "h_product", "v_codes", "v_scale", "v_dequantized",
    "conv/past", "conv/0", "conv/constant0", "conv/shift", "conv/shifted", "quantized/x", "quantized/c", "c/peaks",
    "r/peaks", "w_equalized", "c_bounds", "r_max", "r_replaced", "h_float", "y_float", "y_float32",
)  # fmt: skip
TAKEN_TOGETHER = 9


def net_with(names):
    """A small network in which nodes compute values called `names`, and are called so too."""
    rng = np.random.default_rng(0)

    def constant(key, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), key)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], name="pool"),
        helper.make_node("Flatten", ["g"], ["f"], name="flat"),
        *(helper.make_node("Sigmoid", ["f"], [name], name=name) for name in names),
        helper.make_node("Mean", names, ["m"], name="mean"),
        helper.make_node("MatMul", ["m", "v"], ["h"], name="fc"),
        helper.make_node("Sigmoid", ["h"], ["y"], name="end"),
    ]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [constant("w", 6, 3, 3, 3), constant("v", 6, 4)],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantize(model, tmp_path, spec, **arrays):
    """Quantize a model, and return the exported one."""
    path, out = tmp_path / "model.onnx", tmp_path / "out"
    out.mkdir()
    onnx.save(model, path)
    data = {}
    if arrays:
        data = {role: tmp_path / f"{role}.npz" for role in ("calibration", "evaluation")}
        for file in data.values():
            np.savez(file, **arrays)
    quantize_model(Inputs(path, path.name, {**UNTIMED, **spec}, **data), out, lambda *_: None)
    return onnx.load(out / "model.onnx")


@pytest.mark.parametrize("first", range(0, len(SUFFIXES), TAKEN_TOGETHER))
def test_a_name_that_is_taken_is_never_given_again(first, tmp_path):
    model = net_with(SUFFIXES[first : first + TAKEN_TOGETHER])
    samples = np.random.default_rng(1).normal(size=(16, 3, 8, 8)).astype(np.float32)
    exported = quantize(model, tmp_path, {"preset": "int8"}, x=samples)
    before = Session(model.SerializeToString()).run({"x": samples})[0]
    after = Session(exported.SerializeToString()).run({"x": samples})[0]
    assert np.abs(before - after).max() < 0.1


@pytest.mark.parametrize("preset", ["int8", "int8-weights", "int4", "codebook4", "ternary"])
def test_a_weight_in_the_main_graph_and_in_a_body_is_stored_once(preset, quantize_case):
    exported = onnx.load(quantize_case("weight-in-main-and-branch", preset).model)
    assert sum(int(np.prod(tensor.dims)) == 32 * 32 for tensor in all_constants(exported.graph)) == 1


def all_constants(graph):
    """Yield the initializers of a graph and of its bodies."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from all_constants(attribute.g)


def branch(name, nodes, constants=()):
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", 32])
    return helper.make_graph(nodes, name, [], [output], list(constants))


def product(source, output):
    return helper.make_node("MatMul", [source, "w"], [output])


def choice(output, then, other):
    return helper.make_node("If", ["c"], [output], then_branch=then, else_branch=other)


BODIES = {
    "both bodies of an If": lambda: choice(
        "y", branch("t", [product("x", "p")]), branch("e", [product("x", "q0"), product("q0", "q")])
    ),
    "an If in an If": lambda: choice(
        "y", branch("t", [choice("p", branch("tt", [product("x", "pp")]), branch("te", [product("x", "pq")]))]),
        branch("e", [product("x", "q")]),
    ),
    "one name for two weights": lambda: choice(
        "y", branch("t", [helper.make_node("MatMul", ["x", "v"], ["p"])], [weight("v", 1)]),
        branch("e", [helper.make_node("MatMul", ["x", "v"], ["q"])], [weight("v", 2)]),
    ),
}  # fmt: skip


def weight(name, seed=0):
    return numpy_helper.from_array(np.random.default_rng(seed).normal(size=(32, 32)).astype(np.float32) / 6, name)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("preset", ["int8", "int8-weights", "codebook4"])
def test_bodies_share_the_codes_of_a_weight(body, preset, tmp_path):
    nodes = [product("x", "h"), BODIES[body](), helper.make_node("Add", ["h", "y"], ["z"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32]),
              helper.make_tensor_value_info("c", TensorProto.BOOL, [])]  # fmt: skip
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 32])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, [weight("w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    spec = {"preset": preset} if preset.endswith("weights") else {"preset": preset, "activations": None}
    exported = quantize(model, tmp_path, spec)
    weights = 3 if body == "one name for two weights" else 1
    assert sum(int(np.prod(tensor.dims)) == 32 * 32 for tensor in all_constants(exported.graph)) == weights
    x = np.random.default_rng(3).normal(size=(5, 32)).astype(np.float32)
    for condition in (True, False):
        feeds = {"x": x, "c": np.array(condition)}
        before, after = (Session(m.SerializeToString()).run(feeds)[0] for m in (model, exported))
        assert np.abs(before - after).max() < 0.2 * np.abs(before).max()


def test_a_split_weight_is_folded_and_quantized(quantize_case):
    case = quantize_case("packed-split", "int8-weights")
    assert case.model.stat().st_size < 0.35 * case.float_model.stat().st_size


def test_a_classifier_with_a_map_output_is_quantized(quantize_case):
    case = quantize_case("zipmap", "int8")
    exported = onnx.load(case.model)
    assert "ZipMap" in [node.op_type for node in exported.graph.node]
    assert exported.graph.output[0].type == onnx.load(case.float_model).graph.output[0].type
