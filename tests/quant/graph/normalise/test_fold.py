"""Weights that are computed from constants are folded into initializers."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.fold import fold_constants
from quant.graph.normalise.normalise import normalise
from tests.quant.graph.models import layers_of, model_of, run, tensor

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def body(name, nodes, initializers=()):
    return helper.make_graph(
        nodes, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], list(initializers)
    )


@pytest.mark.parametrize(
    ("nodes", "stored"),
    [
        ([helper.make_node("Identity", ["v"], ["w"])], (6, 5)),
        ([helper.make_node("Transpose", ["v"], ["w"], perm=[1, 0])], (5, 6)),
        ([helper.make_node("Transpose", ["v"], ["w"])], (5, 6)),
        ([helper.make_node("Cast", ["v"], ["w"], to=TensorProto.FLOAT)], (6, 5)),
        ([helper.make_node("Squeeze", ["v", "zero"], ["w"])], (1, 6, 5)),
        ([helper.make_node("Identity", ["v"], ["a"]), helper.make_node("Transpose", ["a"], ["b"]),
          helper.make_node("Cast", ["b"], ["w"], to=TensorProto.FLOAT)], (5, 6)),
    ],
    ids=["identity", "transpose", "transpose without perm", "cast", "squeeze", "a chain"],
)  # fmt: skip
@pytest.mark.parametrize("as_constant_node", [False, True])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16], ids=["fp32", "fp16"])
def test_a_weight_behind_what_rearranges_it_is_found(nodes, stored, as_constant_node, kind):
    if kind == TensorProto.FLOAT16 and nodes[-1].op_type != "Cast":
        nodes = [*nodes[:-1], helper.make_node(nodes[-1].op_type, nodes[-1].input, ["half"]),
                 helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT)]  # fmt: skip
        nodes[-2].attribute.extend(nodes[0].attribute)
    weight = tensor("v", normal(*stored), kind)
    zero = numpy_helper.from_array(np.array([0]), "zero")
    if as_constant_node:
        nodes, initializers = [helper.make_node("Constant", [], ["v"], value=weight), *nodes], [zero]
    else:
        initializers = [weight, zero]
    data = model_of([*nodes, helper.make_node("MatMul", ["x", "w"], ["y"])], initializers)
    (layer,) = layers_of(data)
    assert (layer.op, layer.weight.shape, layer.weight.dtype) == ("MatMul", (6, 5), np.float32)
    x = {"x": normal(3, 6)}
    np.testing.assert_allclose(run(data, x)[0], x["x"] @ layer.weight, atol=1e-5)


def test_a_weight_that_two_nodes_share_is_a_layer_of_each():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["h", "t"], ["i"]),
        helper.make_node("MatMul", ["i", "w"], ["y"]),
    ]
    data = model_of(nodes, [tensor("w", normal(6, 6))])
    assert [layer.weight_name for layer in layers_of(data)] == ["w", "t_constant", "w"]
    x = {"x": normal(3, 6)}
    np.testing.assert_allclose(run(data, x)[0], run(normalise(load(data)), x)[0], rtol=1e-4, atol=1e-4)


def test_a_normalised_weight_is_computed_once():
    """Weight normalisation: w = g * v / |v|, each output its own length."""
    nodes = [
        helper.make_node("ReduceL2", ["v"], ["n"], axes=[1], keepdims=1),
        helper.make_node("Div", ["v", "n"], ["u"]),
        helper.make_node("Mul", ["g", "u"], ["w"]),
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    v, g = normal(5, 6), normal(5, 1)
    (layer,) = layers_of(model_of(nodes, [tensor("v", v), tensor("g", g)]))
    np.testing.assert_allclose(layer.weight, g * v / np.linalg.norm(v, axis=1, keepdims=True), rtol=1e-5)


def test_what_explodes_when_it_is_folded_stays(tmp_path):
    """Thirty doublings of one float: 4 GB in a file of 2 kB."""
    nodes = [helper.make_node("Concat", [f"v{n}"] * 2, [f"v{n + 1}"], axis=0) for n in range(30)]
    nodes += [helper.make_node("ReduceMax", ["v30"], ["m"], keepdims=0), helper.make_node("Add", ["x", "m"], ["y"])]
    model = load(model_of(nodes, [tensor("v0", normal(1))], opset=21))
    fold_constants(model)
    assert sum(node.op_type == "Concat" for node in model.graph) >= 25


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ConstantOfShape", ["six_fives"], ["w"])],
        [helper.make_node("Expand", ["row", "six_fives"], ["w"])],
        [helper.make_node("Tile", ["column", "one_five"], ["w"])],
        [helper.make_node("Range", ["zero", "thousand", "one"], ["r"]), helper.make_node("Cast", ["r"], ["f"], to=1),
         helper.make_node("Reshape", ["f", "rows"], ["t"]), helper.make_node("Transpose", ["t"], ["w"])],
        [helper.make_node("Range", ["zero", "thousand", "one"], ["r"]),
         helper.make_node("OneHot", ["r", "depth", "off_on"], ["h"], axis=0),
         helper.make_node("Cast", ["h"], ["w"], to=1)],
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Range", "OneHot"],
)  # fmt: skip
@pytest.mark.parametrize("reader", ["MatMul", "Add"])
def test_a_large_tensor_that_a_few_bytes_describe_stays_an_expression(nodes, reader):
    constants = [
        integers("six_fives", 6, 500), integers("one_five", 1, 500), integers("rows", -1, 6), integers("depth", 6),
        integers("off_on", 0, 1), *(numpy_helper.from_array(np.array(n), name) for name, n in
                                    (("zero", 0), ("one", 1), ("thousand", 3000))),
        tensor("row", normal(1, 500)[:, :1]), tensor("column", normal(6, 1)),
    ]  # fmt: skip
    last = (
        helper.make_node("MatMul", ["x", "w"], ["y"])
        if reader == "MatMul"
        else helper.make_node("Add", ["w", "s"], ["y"])
    )
    scalar = helper.make_node("ReduceMax", ["x"], ["s"], keepdims=0)
    data = model_of([*nodes, scalar, last], constants)
    x = {"x": normal(3, 6)}
    normalised = normalise(load(data))
    assert len(ir.to_proto(normalised).SerializeToString()) < len(data) + 1000
    np.testing.assert_allclose(run(data, x)[0], run(normalised, x)[0], rtol=1e-4, atol=1e-4)


def test_a_weight_that_both_branches_compute_is_stored_once():
    def branch(name, reader):
        return body(name, [
            helper.make_node("Constant", [], [f"{name}_axes"], value=integers(f"{name}_axes", 0)),
            helper.make_node("Transpose", ["v"], [f"{name}_t"]),
            helper.make_node("Unsqueeze", [f"{name}_t", f"{name}_axes"], [f"{name}_w"]),
            helper.make_node("MatMul", ["x", f"{name}_w"], [f"{name}_m"]),
            helper.make_node(reader, [f"{name}_m"], [name]),
        ])  # fmt: skip

    inputs = {"x": (TensorProto.FLOAT, ["N", 60]), "c": (TensorProto.BOOL, [])}
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("p", "Relu"), else_branch=branch("q", "Tanh"))
    data = model_of([node], [tensor("v", normal(50, 60))], inputs=inputs)
    normalised = normalise(load(data))
    assert len(inventory(normalised)[0]) == 2
    assert len(ir.to_proto(normalised).SerializeToString()) < len(data) + 1000
    for condition in (True, False):
        feeds = {"x": normal(3, 60), "c": np.array(condition)}
        np.testing.assert_allclose(run(data, feeds)[0], run(normalised, feeds)[0], rtol=1e-4, atol=1e-4)


def test_an_integer_division_by_zero_is_not_computed():
    zero, one = (numpy_helper.from_array(np.array([n], np.int64), name) for n, name in ((0, "zero"), (1, "one")))
    nodes = [
        helper.make_node("Div", ["one", "zero"], ["d"]),
        helper.make_node("Reshape", ["x", "d"], ["y"]),
    ]
    model = load(model_of(nodes, [zero, one], opset=21))
    fold_constants(model)
    assert [node.op_type for node in model.graph] == ["Div", "Reshape"]


@pytest.mark.parametrize("condition", [True, False])
def test_weights_in_bodies_are_found_and_named(condition):
    weights = {"v": normal(5, 6), "b": normal(5)}
    then = body("p", [
        helper.make_node("Constant", [], ["v"], value=tensor("v", weights["v"])),
        helper.make_node("Transpose", ["v"], ["w"]), helper.make_node("Gemm", ["x", "w"], ["p"], alpha=0.5),
    ])  # fmt: skip
    other = body("q", [helper.make_node("MatMul", ["x", "u"], ["q"])], [tensor("u", normal(6, 5))])
    inputs = {"x": (TensorProto.FLOAT, ["N", 6]), "c": (TensorProto.BOOL, [])}
    data = model_of([helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)], inputs=inputs)
    layers = layers_of(data)
    assert {layer.op for layer in layers} == {"Gemm", "MatMul"}
    assert len({layer.name for layer in layers}) == 2
    feeds = {"x": normal(3, 6), "c": np.array(condition)}
    np.testing.assert_allclose(run(data, feeds)[0], run(normalise(load(data)), feeds)[0], rtol=1e-4, atol=1e-4)


def test_a_loop_with_a_weight_inside_computes_the_same():
    state = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 6]) for name in ("h", "k")]
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("MatMul", ["h", "w"], ["k"])], "step",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []), state[0]],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), state[1]], [tensor("w", normal(6, 6) / 3)],
    )  # fmt: skip
    trips = numpy_helper.from_array(np.array(3), "trips")
    data = model_of([helper.make_node("Loop", ["trips", "", "x"], ["y"], body=step)], [trips])
    (layer,) = layers_of(data)
    assert layer.weight.shape == (6, 6)
    x = {"x": normal(3, 6)}
    np.testing.assert_allclose(run(data, x)[0], run(normalise(load(data)), x)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.data
@pytest.mark.parametrize(("name", "count"), [("silero_vad", 20), ("silero_vad_half", 10), ("ppocrv3_det", 74)])
def test_every_layer_of_a_real_model_is_found(data, name, count):
    model = normalise(load(data / "coverage" / f"{name}.onnx"))
    layers, skipped = inventory(model)
    assert (len(layers), skipped) == (count, [])
    graphs = (model.graph, *model.graph.subgraphs())
    assert all(value.uses() for graph in graphs for value in graph.initializers.values())
