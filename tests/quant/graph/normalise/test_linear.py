"""Gemm and MatMul are brought to the form that the integer kernels take."""

import pytest
from onnx import helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.linear import simplify_linear
from tests.quant.graph.models import assert_same_outputs, model_of, random_tensor


def test_gemm_factors_are_folded_into_constants():
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0)
    data = model_of([node], [random_tensor("w", 6, 5), random_tensor("b", 5)])
    model = load(data)
    simplify_linear(model)
    gemm = next(iter(model.graph))
    assert gemm.attributes["alpha"].as_float() == gemm.attributes["beta"].as_float() == 1.0
    assert_same_outputs(data, model, {"x": ["N", 6]})


def test_a_factor_of_a_computed_operand_stays():
    node = helper.make_node("Gemm", ["x", "z"], ["y"], alpha=0.5)
    model = load(model_of([node], inputs={"x": ["N", 6], "z": [6, 5]}))
    simplify_linear(model)
    assert next(iter(model.graph)).attributes["alpha"].as_float() == 0.5


@pytest.mark.parametrize("bias_first", [False, True])
@pytest.mark.parametrize(("shape", "flat"), [((1, 5), (5,)), ((5,), (5,)), ((1, 1), (1, 1)), ((3, 5), (3, 5))])
def test_a_bias_of_one_row_loses_its_first_axis(shape, flat, bias_first):
    operands = ["b", "h"] if bias_first else ["h", "b"]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", operands, ["y"])]
    data = model_of(nodes, [random_tensor("w", 6, 5), random_tensor("b", *shape)])
    model = load(data)
    simplify_linear(model)
    bias = list(model.graph)[1].inputs[0 if bias_first else 1]
    assert tuple(bias.shape) == flat
    assert_same_outputs(data, model, {"x": ["N", 6]})


@pytest.mark.parametrize("beta", [1.0, 0.5])
@pytest.mark.parametrize(("shape", "operators"), [
    ((), ["Gemm"]), ((1,), ["Gemm"]), ((1, 1), ["Gemm"]), ((5,), ["Gemm"]), ((1, 5), ["Gemm"]),
    ((3, 1), ["Gemm", "Add"]), ((5, 1), ["Gemm", "Add"]), ((3, 5), ["Gemm", "Add"]), (None, ["Gemm", "Add"]),
])  # fmt: skip
def test_a_gemm_keeps_a_bias_of_one_constant_a_column_only(shape, operators, beta):
    rows = 5 if shape == (5, 1) else 3
    node = helper.make_node("Gemm", ["x", "w", "b" if shape is not None else "x"], ["y"], beta=beta)
    columns = 5 if shape is not None else 6
    arrays = [random_tensor("w", 6, columns)] + ([random_tensor("b", *shape)] if shape is not None else [])
    data = model_of([node], arrays)
    model = load(data)
    simplify_linear(model)
    kinds = [node.op_type for node in model.graph if node.op_type != "Mul"]
    assert kinds == operators
    (gemm,) = (node for node in model.graph if node.op_type == "Gemm")
    if operators == ["Gemm"]:
        assert tuple(gemm.inputs[2].shape) == (columns,)
    assert_same_outputs(data, model, {"x": [rows, 6]})


def test_a_vector_times_a_matrix_keeps_the_axis_that_its_bias_adds():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    data = model_of(nodes, [random_tensor("w", 6, 5), random_tensor("b", 1, 5)], inputs={"x": [6]})
    model = load(data)
    simplify_linear(model)
    assert tuple(list(model.graph)[1].inputs[1].shape) == (1, 5)
    assert_same_outputs(data, model, {"x": [6]})


def test_beta_without_a_bias_is_dropped():
    data = model_of([helper.make_node("Gemm", ["x", "w"], ["y"], beta=3.0)], [random_tensor("w", 6, 5)])
    model = load(data)
    simplify_linear(model)
    assert next(iter(model.graph)).attributes["beta"].as_float() == 1.0
    assert_same_outputs(data, model, {"x": ["N", 6]})
