"""Wherever a weight hides, it is found; whatever a model computes in, the outputs stay."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.errors import UnsupportedOperator
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.load.source import open_model
from quant.graph.normalise.fold import fold_constants
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session

RNG = np.random.default_rng(0)
NUMPY = {TensorProto.FLOAT16: np.float16, TensorProto.BFLOAT16: ml_dtypes.bfloat16, TensorProto.FLOAT: np.float32}
HALVES = pytest.mark.parametrize("half", [TensorProto.FLOAT16, TensorProto.BFLOAT16], ids=["fp16", "bf16"])


def tensor(name, array, kind=TensorProto.FLOAT):
    return helper.make_tensor(name, kind, array.shape, array.astype(NUMPY[kind]).tobytes(), raw=True)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def model_of(nodes, initializers=(), inputs=None, outputs=None, opset=17, functions=(), ir_version=8):
    inputs = inputs or {"x": (TensorProto.FLOAT, ["N", 6])}
    outputs = outputs or {"y": (TensorProto.FLOAT, None)}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()], list(initializers),
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=ir_version)
    return made.SerializeToString()


def run(model, feeds):
    data = model if isinstance(model, bytes) else ir.to_proto(model).SerializeToString()
    return Session(data).run(feeds)


def layers_of(data):
    layers, skipped = inventory(normalise(load(data)))
    assert skipped == []
    return layers


# Weights behind other nodes


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
    assert sum(node.op_type == "Concat" for node in model.graph) >= 29


def test_an_integer_division_by_zero_is_not_computed():
    zero, one = (numpy_helper.from_array(np.array([n], np.int64), name) for n, name in ((0, "zero"), (1, "one")))
    nodes = [
        helper.make_node("Div", ["one", "zero"], ["d"]),
        helper.make_node("Reshape", ["x", "d"], ["y"]),
    ]
    model = load(model_of(nodes, [zero, one], opset=21))
    fold_constants(model)
    assert [node.op_type for node in model.graph] == ["Div", "Reshape"]


# Bodies and functions


def body(name, nodes, initializers=()):
    return helper.make_graph(
        nodes, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], list(initializers)
    )


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


def test_batchnorm_in_a_body_does_not_reach_for_the_layer_outside():
    statistics = [tensor(name, np.abs(normal(5)) + 0.5) for name in ("g", "s", "m", "v")]
    then = body("p", [helper.make_node("BatchNormalization", ["h", "g", "s", "m", "v"], ["p"])], statistics)
    other = body("q", [helper.make_node("Neg", ["x"], ["q"])])
    inputs = {"x": (TensorProto.FLOAT, ["N", 6]), "c": (TensorProto.BOOL, [])}
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"]),
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    data = model_of(nodes, [tensor("w", normal(6, 5))], inputs)
    feeds = {"x": normal(3, 6), "c": np.array(True)}
    np.testing.assert_allclose(run(data, feeds)[0], run(normalise(load(data)), feeds)[0], rtol=1e-4, atol=1e-4)


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
    data = model_of(nodes, outputs=outputs, functions=[function()])
    layers = layers_of(data)
    assert [layer.op for layer in layers] == ["MatMul", "MatMul"]
    assert len({layer.name for layer in layers}) == 2
    x = {"x": normal(3, 6)}
    for before, after in zip(run(data, x), run(normalise(load(data)), x), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-5)


def test_a_function_of_another_opset_is_refused():
    data = model_of([helper.make_node("Layer", ["x"], ["y"], domain="own")], functions=[function(13)])
    with pytest.raises(UnsupportedOperator, match="Opset mismatch"):
        normalise(load(data))


# FP16 and BF16


def half_model(half, opset=22):
    """Conv, BatchNormalization, Relu, a Cast to FP32 and back, Gemm; inputs and outputs in the half, too."""
    weights = {
        "w": normal(4, 3, 3, 3) / 5, "g": np.abs(normal(4)) + 0.5, "s": normal(4), "m": normal(4),
        "v": np.abs(normal(4)) + 0.5, "k": normal(4, 5) / 2, "b": normal(5),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "g", "s", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Cast", ["r"], ["r32"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["r32"], ["p32"]),
        helper.make_node("Cast", ["p32"], ["p"], to=half),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "k", "b"], ["y"]),
    ]
    return model_of(
        nodes, [tensor(name, array, half) for name, array in weights.items()],
        {"x": (half, ["N", 3, 8, 8])}, {"y": (half, ["N", 5])}, opset, ir_version=10,
    )  # fmt: skip


@HALVES
def test_halves_are_computed_in_fp32(half):
    model = normalise(load(half_model(half)), 22)
    assert [node.op_type for node in model.graph if node.op_type != "Cast"] == [
        "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    kinds = {value.dtype for value in model.graph.initializers.values()}
    assert kinds == {ir.DataType.FLOAT}
    ends = [model.graph.inputs[0].dtype, model.graph.outputs[0].dtype]
    is_fp16 = half == TensorProto.FLOAT16
    assert ends == [ir.DataType.FLOAT16 if is_fp16 else ir.DataType.FLOAT] * 2
    assert sum(node.op_type == "Cast" for node in model.graph) == (2 if is_fp16 else 0)
    assert len(layers_of(half_model(half))) == 2


def test_fp16_keeps_its_inputs_and_outputs_and_its_values():
    data = half_model(TensorProto.FLOAT16)
    x = {"x": RNG.normal(size=(3, 3, 8, 8)).astype(np.float16)}
    (expected,), (actual,) = run(data, x), run(normalise(load(data), 22), x)
    assert actual.dtype == np.float16
    np.testing.assert_allclose(expected, actual, atol=1e-2 * float(np.abs(expected).max()))


def test_the_float_reference_of_bf16_is_the_same_model_in_fp32(tmp_path):
    data = half_model(TensorProto.BFLOAT16)
    (tmp_path / "m.onnx").write_bytes(data)
    source = open_model(tmp_path / "m.onnx", tmp_path)
    x = normal(3, 3, 8, 8)
    weights = {
        t.name: numpy_helper.to_array(t).astype(np.float32) for t in onnx.load(tmp_path / "m.onnx").graph.initializer
    }
    twin = onnx.load_model_from_string(half_model(TensorProto.FLOAT))
    for held in twin.graph.initializer:
        held.CopyFrom(numpy_helper.from_array(weights[held.name], held.name))
    np.testing.assert_allclose(
        Session(source.reference).run({"x": x})[0], run(twin.SerializeToString(), {"x": x})[0], rtol=1e-4, atol=1e-5
    )
    assert source.size == len(data)


@HALVES
@pytest.mark.parametrize("preset", ["int8", "int4-weights"])
def test_halves_go_the_whole_way(tmp_path, half, preset):
    (tmp_path / "m.onnx").write_bytes(half_model(half, 22))
    dtype = np.float16 if half == TensorProto.FLOAT16 else np.float32
    np.savez(tmp_path / "c.npz", x=RNG.normal(size=(24, 3, 8, 8)).astype(dtype))
    (tmp_path / "out").mkdir()
    inputs = Inputs(tmp_path / "m.onnx", "m", {"preset": preset}, tmp_path / "c.npz", tmp_path / "c.npz")
    outcome = quantize_model(inputs, tmp_path / "out", lambda *_: None)
    assert outcome.summary.quantized_layers == 2
    assert outcome.summary.output_sqnr_db > (25 if preset == "int8" else 10)


@pytest.mark.data
@pytest.mark.parametrize(("name", "count"), [("silero_vad", 20), ("silero_vad_half", 10), ("ppocrv3_det", 74)])
def test_every_layer_of_a_real_model_is_found(data, name, count):
    model = normalise(load(data / "coverage" / f"{name}.onnx"))
    layers, skipped = inventory(model)
    assert (len(layers), skipped) == (count, [])
    graphs = (model.graph, *model.graph.subgraphs())
    assert all(value.uses() for graph in graphs for value in graph.initializers.values())


@pytest.mark.data
def test_a_real_fp16_model_with_branches_stays_what_it_is(data):
    path = data / "coverage" / "silero_vad_half.onnx"
    model = normalise(load(path))
    kinds = {value.dtype for graph in (model.graph, *model.graph.subgraphs()) for value in graph.initializers.values()}
    assert ir.DataType.FLOAT16 not in kinds
    layers, _ = inventory(model)
    assert len(layers) >= 6
    feeds = {"input": normal(2, 512), "state": normal(2, 2, 128)}
    for expected, actual in zip(Session(path).run(feeds), run(model, feeds), strict=True):
        assert np.abs(expected - actual).max() < 1e-2 * max(1.0, float(np.abs(expected).max()))
