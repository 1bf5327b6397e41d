"""Constant expressions are evaluated as ONNX Runtime evaluates them, unless they are random, large or dangerous."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.evaluate import evaluate_constants
from quant.graph.normalise.fold import fold_constants
from quant.graph.normalise.normalise import normalise
from tests.quant.graph.models import model_of, random_tensor, run


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


W = random_tensor("v", 6, 5)
WEIGHTS = {
    "Split": ([helper.make_node("Split", ["big"], ["w", "rest"], axis=1, num_outputs=2)],
              [random_tensor("big", 6, 10)]),
    "Where": ([helper.make_node("Where", ["mask", "v", "u"], ["w"])],
              [W, random_tensor("u", 6, 5), numpy_helper.from_array(np.eye(6, 5, dtype=bool), "mask")]),
    "LoRA": ([helper.make_node("MatMul", ["a", "b"], ["ab"]), helper.make_node("Mul", ["ab", "s"], ["d"]),
              helper.make_node("Add", ["v", "d"], ["w"])],
             [W, random_tensor("a", 6, 2), random_tensor("b", 2, 5), random_tensor("s", 1)]),
    "Concat of Slices": ([helper.make_node("Slice", ["big", "zero", "two", "zero"], ["p"]),
                          helper.make_node("Slice", ["big", "four", "eight", "zero"], ["q"]),
                          helper.make_node("Concat", ["p", "q"], ["w"], axis=0)],
                         [random_tensor("big", 8, 5), integers("zero", 0), integers("two", 2), integers("four", 4),
                          integers("eight", 8)]),
    "Gather of rows": ([helper.make_node("Gather", ["big", "order"], ["w"])],
                       [random_tensor("big", 8, 5), integers("order", 5, 1, 2, 0, 4, 3)]),
    "Einsum": ([helper.make_node("Einsum", ["v"], ["t"], equation="ij->ji"),
                helper.make_node("Transpose", ["t"], ["w"])], [W]),
    "Exp and Neg": ([helper.make_node("Exp", ["v"], ["e"]), helper.make_node("Neg", ["e"], ["w"])], [W]),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_behind_any_deterministic_node_is_found(name):
    nodes, tensors = WEIGHTS[name]
    data = model_of([*nodes, helper.make_node("MatMul", ["x", "w"], ["y"])], tensors, opset=21)
    model = normalise(load(data))
    layers, skipped = inventory(model)
    assert [layer.op for layer in layers if layer.op == "MatMul"] == ["MatMul"]
    assert skipped == []
    x = {"x": np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)}
    np.testing.assert_allclose(run(model, x)[0], run(data, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", ["RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_random_numbers_are_drawn_at_run_time(op):
    like = op.endswith("Like") or op == "Bernoulli"
    node = helper.make_node(op, ["v"], ["r"]) if like else helper.make_node(op, [], ["r"], shape=[6, 5])
    nodes = [node, helper.make_node("Mul", ["r", "v"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    probability = numpy_helper.from_array(np.full((6, 5), 0.5, np.float32), "v")
    model = normalise(load(model_of(nodes, [probability])))
    assert op in [node.op_type for node in model.graph]
    layers, (skipped,) = inventory(model)
    assert layers == []
    assert skipped.reason == "its weight is computed at run time"


@pytest.mark.parametrize("op", ["Div", "Mod"])
@pytest.mark.parametrize("divisor", [0, -1])
def test_no_division_can_end_the_process(op, divisor):
    low = integers("low", np.iinfo(np.int64).min)
    nodes = [helper.make_node(op, ["low", "d"], ["q"]), helper.make_node("Reshape", ["x", "q"], ["y"])]
    assert evaluate_constants(load(model_of(nodes, [low, integers("d", divisor)], opset=21))) == {}


@pytest.mark.parametrize(("node", "constants"), [
    (helper.make_node("Expand", ["s", "shape"], ["w"]), [random_tensor("s", 1), integers("shape", 1 << 12, 1 << 12)]),
    (helper.make_node("Tile", ["s", "shape"], ["w"]), [random_tensor("s", 1), integers("shape", 1 << 24)]),
    (helper.make_node("ConstantOfShape", ["shape"], ["w"]), [integers("shape", 1 << 12, 1 << 12)]),
    (helper.make_node("Pad", ["s", "shape"], ["w"]), [random_tensor("s", 1), integers("shape", 0, 1 << 24)]),
])  # fmt: skip
def test_a_large_result_is_not_computed(node, constants):
    nodes = [node, helper.make_node("ReduceSum", ["w"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])]
    assert evaluate_constants(load(model_of(nodes, constants, opset=21))) == {}


def test_folding_never_enlarges_the_file():
    """A table of sines from a vector, as exporters write Fourier transforms."""
    nodes = [
        helper.make_node("MatMul", ["t", "u"], ["p"]),
        helper.make_node("Sin", ["p"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    constants = [random_tensor("t", 64, 1), random_tensor("u", 1, 64), random_tensor("v", 64, 4)]
    data = model_of(nodes, constants, {"x": ["N", 64]}, opset=21)
    model = normalise(load(data))
    layers, skipped = inventory(model)
    assert [layer.weight_name for layer in layers] == ["v"]
    assert {node.reason for node in skipped} == {
        "its output does not depend on the model's inputs",
        "its weight is computed from constants that take fewer bytes than its codes would",
    }


def test_a_table_that_is_looked_up_at_fixed_rows_stays_an_embedding():
    nodes = [helper.make_node("Gather", ["table", "rows"], ["p"]), helper.make_node("Add", ["x", "p"], ["y"])]
    constants = [random_tensor("table", 8, 6), integers("rows", 0, 1, 2)]
    model = load(model_of(nodes, constants, {"x": [3, 6]}, opset=21))
    fold_constants(model)
    assert [layer.op for layer in inventory(model)[0]] == ["Gather"]


def test_what_fails_stays():
    nodes = [helper.make_node("Reshape", ["v", "shape"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    assert evaluate_constants(load(model_of(nodes, [W, integers("shape", 7, 7)], opset=21))) == {}


def test_codes_and_strings_are_not_evaluated():
    codes = helper.make_tensor("v", TensorProto.INT4, [6, 5], [1] * 30)
    nodes = [helper.make_node("Transpose", ["v"], ["t"]), helper.make_node("Cast", ["t"], ["w"], to=TensorProto.FLOAT),
             helper.make_node("MatMul", ["x", "w"], ["y"])]  # fmt: skip
    assert evaluate_constants(load(model_of(nodes, [codes], {"x": ["N", 5]}, opset=21, ir_version=10))) == {}
    text = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 21]>
        net (string[N] x) => (string[N] y) <string[1] s = {"a"}> {
            t = StringConcat (s, s)
            y = StringConcat (x, t)
        }""")
    assert evaluate_constants(text) == {}
