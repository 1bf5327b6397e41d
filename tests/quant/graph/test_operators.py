"""The table of operators agrees with ONNX and with the kernels of ONNX Runtime, and is the only place with names."""

import ast
from pathlib import Path
from typing import get_args

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, defs, helper, numpy_helper

import quant
from quant.graph.im2col import from_weight_matrix, input_rows, weight_matrix
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.operators import OPERATORS, operator_of
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators
from quant.spec import OperatorMatch

RNG = np.random.default_rng(0)
CASES = {
    # operator, attributes, shape of the input, shapes of weights and bias by operand, axis of the weight, of the output
    "Conv": ("Conv", {"pads": [1, 1, 1, 1]}, (2, 4, 6, 5), {1: (6, 4, 3, 3), 2: (6,)}, 0, 1),
    "Conv, strided": ("Conv", {"strides": [2, 1], "dilations": [1, 2]}, (2, 4, 9, 9), {1: (6, 4, 3, 3)}, 0, 1),
    "Conv, grouped": ("Conv", {"group": 2}, (2, 4, 6, 5), {1: (6, 2, 3, 3), 2: (6,)}, 0, 1),
    "Conv, padded by name": ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2]}, (2, 4, 7), {1: (6, 4, 4)}, 0, 1),
    "ConvTranspose": ("ConvTranspose", {"strides": [2, 2]}, (2, 4, 5, 3), {1: (4, 6, 3, 3), 2: (6,)}, 1, 1),
    "ConvTranspose, grouped": ("ConvTranspose", {"group": 2, "pads": [1, 1]}, (2, 4, 7), {1: (4, 3, 3), 2: (6,)}, 1, 1),
    "Gemm": ("Gemm", {}, (5, 4), {1: (4, 6), 2: (6,)}, 1, -1),
    "Gemm, transposed": ("Gemm", {"transB": 1}, (5, 4), {1: (6, 4), 2: (6,)}, 0, -1),
    "Gemm, of columns": ("Gemm", {"transA": 1}, (4, 5), {1: (4, 6)}, 1, -1),
    "MatMul": ("MatMul", {}, (2, 5, 4), {1: (4, 6)}, 1, -1),
    "MatMul, on the left": ("MatMul", {}, (2, 4, 5), {0: (6, 4)}, 0, None),
    "MatMul, of a batch": ("MatMul", {}, (2, 5, 4), {1: (2, 4, 6)}, 2, None),
    "LSTM": ("LSTM", {"hidden_size": 6}, (5, 2, 4), {1: (1, 24, 4), 2: (1, 24, 6)}, 1, None),
    "GRU": ("GRU", {"hidden_size": 6}, (5, 2, 4), {1: (1, 18, 4), 2: (1, 18, 6)}, 1, None),
    "RNN": ("RNN", {"hidden_size": 6}, (5, 2, 4), {1: (1, 6, 4), 2: (1, 6, 6)}, 1, None),
    "Gather": ("Gather", {}, (2, 5), {0: (10, 6)}, 0, None),
}  # fmt: skip


def case(name):
    """The node of a case alone in a normalised model: the model, its layers, and a random input."""
    op, attributes, shape, constants, _, _ = CASES[name]
    table = op == "Gather"
    names = ["x" if index not in constants else f"w{index}" for index in range(max(max(constants) + 1, 2))]
    arrays = {f"w{index}": RNG.normal(size=size).astype(np.float32) for index, size in constants.items()}
    node = helper.make_node(op, names, ["y"], "layer", **attributes)
    dtype = TensorProto.INT64 if table else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("x", dtype, list(shape))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "g", inputs, outputs, weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = RNG.integers(0, 10, shape) if table else RNG.normal(size=shape).astype(np.float32)
    model = normalise(load(proto.SerializeToString()))
    return model, inventory(model)[0], x


def run(model, x):
    return Session(ir.to_proto(model).SerializeToString()).run({"x": x})[0]


def test_the_spec_accepts_exactly_the_operators_of_the_table():
    assert get_args(OperatorMatch.model_fields["op"].annotation) == tuple(OPERATORS)


def test_every_operator_has_a_case():
    assert {op for op, *_ in CASES.values()} == set(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_operands_are_those_of_the_onnx_definition(name):
    operator, inputs = OPERATORS[name], [value.name for value in defs.get_schema(name).inputs]
    roles = {"W", "R", "B", "w", "data"}
    assert {inputs[operand.index] for operand in operator.weights} <= roles
    assert {inputs[operand.input_index] for operand in operator.weights} <= {"X", "A", "indices"}
    if operator.bias_index is not None:
        assert inputs[operator.bias_index] in ("B", "C")


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operand_has_an_integer_kernel_or_a_reason_to_run_in_float(name):
    operator = OPERATORS[name]
    for operand in (*operator.weights, *([operator.alternative] if operator.alternative else [])):
        assert (operand.integer_kernel is None) != (operand.float_reason is None)


@pytest.mark.parametrize("name", CASES)
def test_layers_and_axes(name):
    op, _, _, constants, axis, output_axis = CASES[name]
    _, layers, _ = case(name)
    weights = {index: shape for index, shape in constants.items() if len(shape) > 1}
    assert {layer.weight_index: layer.shape for layer in layers} == weights
    for layer in layers:
        assert layer.operator is OPERATORS[op] is operator_of(layer.node)
        assert (layer.axis, layer.output_axis) == (axis, output_axis)
        assert str(layer.operand(layer.input_index).name) == "x"
    assert len({layer.name for layer in layers}) == len(layers)


@pytest.mark.parametrize("name", [name for name, (*_, output_axis) in CASES.items() if output_axis is not None])
def test_a_bias_lies_along_the_output_axis(name):
    """An input of zeros leaves the bias alone; the output has as many channels as the bias."""
    model, (layer,), x = case(name)
    output = run(model, np.zeros_like(x))
    assert output.shape[layer.output_axis] == layer.output_channels
    bias = np.zeros(6) if layer.bias is None else layer.bias.const_value.numpy()
    along = np.moveaxis(output, layer.output_axis, -1)
    np.testing.assert_allclose(along, np.broadcast_to(bias, along.shape), atol=1e-6)


@pytest.mark.parametrize("name", [name for name, (*_, output_axis) in CASES.items() if output_axis is not None])
def test_scaling_a_channel_of_the_weight_scales_that_channel_of_the_output(name):
    model, (layer,), x = case(name)
    before = run(model, x) - run(model, np.zeros_like(x))
    scaled = layer.weight.copy()
    np.moveaxis(scaled, layer.axis, 0)[2] *= 3
    layer.operand(layer.weight_index).const_value = ir.tensor(scaled)
    after = np.moveaxis(run(model, x) - run(model, np.zeros_like(x)), layer.output_axis, 0)
    factors = np.ones(layer.output_channels)
    factors[2 :: layer.shape[layer.axis]] = 3  # the same channel of each group
    expected = np.moveaxis(before, layer.output_axis, 0) * factors.reshape(-1, *[1] * (before.ndim - 1))
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", [name for name in CASES if CASES[name][0] in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
)
def test_rows_times_matrix_are_the_outputs(name):
    model, (layer,), x = case(name)
    matrix = weight_matrix(layer, layer.weight)
    if matrix is None:
        assert layer.is_batch
        return
    np.testing.assert_array_equal(from_weight_matrix(layer, matrix, layer.shape), layer.weight)
    products = np.einsum("gnk,gok->ngo", input_rows(layer, x, 10**6, seed=0), matrix)
    output = run(model, x) - run(model, np.zeros_like(x))
    axis = -2 if layer.output_axis is None else layer.output_axis
    expected = np.moveaxis(output, axis, -1).reshape(-1, output.shape[axis])
    np.testing.assert_allclose(products.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["Conv", "Gemm", "MatMul"])
def test_the_integer_kernel_is_the_one_that_runs(tmp_path, name):
    model, (layer,), x = case(name)
    (tmp_path / "m.onnx").write_bytes(ir.to_proto(model).SerializeToString())
    samples = np.concatenate([x] * 4)
    spec = {"preset": "int8", "bias_correction": "none"}  # with a bias after it, a MatMul can become a QGemm
    np.savez(tmp_path / "c.npz", x=samples)
    quantize_model(Inputs(tmp_path / "m.onnx", "m", spec, tmp_path / "c.npz"), tmp_path, lambda *_: None)
    kernels = optimised_operators((tmp_path / "model.onnx").read_bytes())
    assert kernels[layer.weight_operand.integer_kernel] == 1, kernels


def test_no_other_module_compares_the_name_of_an_operator():
    """An operator's properties are asked of the table, so that a new operator is one value."""
    root = Path(quant.__file__).parent
    allowed = {root / "graph" / "operators.py", root / "runtime.py"}  # the latter counts the kernels of a session
    files = [path for path in sorted(root.rglob("*.py")) if path not in allowed]
    files = [path for path in files if not {"load", "normalise"} & set(path.relative_to(root).parts)]
    assert len(files) > 80
    offences = [f"{path.relative_to(root)}:{line}" for path in files for line in comparisons(path.read_text())]
    assert offences == []


@pytest.mark.parametrize("code", [
    'node.op_type == "Conv"', 'layer.op in ("Conv", "Gemm")', "node.op_type not in NAMES", '"Relu" != x.op_type',
    'match node.op_type:\n    case "Conv": pass', 'node.op_type.startswith("Conv")',
])  # fmt: skip
def test_comparisons_are_found(code):
    assert comparisons(code) == [1]


@pytest.mark.parametrize("code", ["RULES.get(node.op_type)", "match.op == op", 'put(op_type="Conv")'])
def test_lookups_are_none(code):
    assert comparisons(code) == []


def comparisons(code):
    """The lines of a module that compare `.op_type` with anything, or `.op` with names."""
    return [node.lineno for node in ast.walk(ast.parse(code)) if _compares(node)]


def _compares(node):
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        names = [side.attr for side in sides if isinstance(side, ast.Attribute)]
        texts = [part for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)]
        return "op_type" in names or ("op" in names and any(isinstance(text.value, str) for text in texts))
    if isinstance(node, ast.Match):
        return isinstance(node.subject, ast.Attribute) and node.subject.attr in ("op_type", "op")
    called = node.func if isinstance(node, ast.Call) else None
    return (
        isinstance(called, ast.Attribute) and isinstance(called.value, ast.Attribute) and called.value.attr == "op_type"
    )
