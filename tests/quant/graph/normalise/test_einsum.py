"""An Einsum with a constant matrix becomes a MatMul, is quantized and runs in an integer kernel."""

import json

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators

RNG = np.random.default_rng(0)
MATRIX_FORMS = [
    # equation, shape of x, shape of W, W is the first operand
    ("bsd,dh->bsh", (2, 5, 8), (8, 6), False),
    ("bij,jk->bik", (2, 5, 8), (8, 6), False),
    ("ij,kj->ik", (5, 8), (6, 8), False),
    ("b s d, h d -> b s h", (2, 5, 8), (6, 8), False),
    ("...d,dh->...h", (2, 3, 5, 8), (8, 6), False),
    ("dh,bsd->bsh", (2, 5, 8), (8, 6), True),
    ("hd,...d->...h", (2, 5, 8), (6, 8), True),
]
OTHER_FORMS = [
    ("bsd,dh->bhs", (2, 5, 8), (8, 6), False),  # the new axis is not the last
    ("bds,dh->bsh", (2, 8, 5), (8, 6), False),  # the summed axis is not the last
    ("ij,jk->i", (5, 8), (8, 6), False),  # both axes of W are summed over
    ("bj,bk->bjk", (5, 8), (5, 6), False),  # nothing is summed over
    ("iij,jk->iik", (5, 5, 8), (8, 6), False),  # a diagonal
    ("j,jk->k", (8,), (8, 6), False),  # x is a vector
    ("bj,jk->bk", (5, 8), (1, 6), False),  # W is broadcast
]


@pytest.mark.parametrize(("equation", "shape", "weight", "weight_first"), MATRIX_FORMS)
def test_a_matrix_product_becomes_a_matmul_with_the_same_outputs(equation, shape, weight, weight_first):
    proto = network(equation, shape, weight, weight_first)
    model = normalise(load(proto))
    assert [node.op_type for node in model.graph] == ["MatMul"]
    (layer,), skipped = inventory(model)
    assert (layer.name, layer.op, layer.shape, layer.axis) == ("product", "MatMul", (8, 6), 1)
    assert not skipped
    assert layer.float_only is None
    x = RNG.normal(size=shape).astype(np.float32)
    before, after = (Session(data).run({"x": x})[0] for data in (proto, ir.to_proto(model).SerializeToString()))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("equation", "shape", "weight", "weight_first"), OTHER_FORMS)
def test_any_other_equation_stays(equation, shape, weight, weight_first):
    model = normalise(load(network(equation, shape, weight, weight_first)))
    assert [node.op_type for node in model.graph] == ["Einsum"]


def test_a_product_of_two_inputs_stays():
    nodes = [helper.make_node("Einsum", ["x", "w"], ["y"], "product", equation="ij,jk->ik")]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [8, 8]) for name in ("x", "w")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", inputs, [output])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model = normalise(load(proto.SerializeToString()))
    assert [node.op_type for node in model.graph] == ["Einsum"]


@pytest.mark.parametrize(("preset", "kernel"), [("int8", "MatMulIntegerToFloat"), ("int8-weights", "MatMul")])
@pytest.mark.parametrize("equation", ["bsd,dh->bsh", "bsd,hd->bsh"])
def test_it_is_quantized_and_runs_as_a_matmul(tmp_path, equation, preset, kernel):
    (tmp_path / "m.onnx").write_bytes(network(equation, ("N", 16, 32), (32, 32), weight_first=False, layers=2))
    samples = RNG.normal(size=(32, 16, 32)).astype(np.float32)
    np.save(tmp_path / "c.npy", samples)
    calibration = None if preset.endswith("weights") else tmp_path / "c.npy"
    inputs = Inputs(tmp_path / "m.onnx", "m.onnx", {"preset": preset}, calibration)
    quantize_model(inputs, tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [layer["op"] for layer in report["layers"]] == ["MatMul", "MatMul"]
    assert optimised_operators((tmp_path / "model.onnx").read_bytes())[kernel] == 2
    expected, actual = (Session(tmp_path / name).run({"x": samples})[0] for name in ("m.onnx", "model.onnx"))
    assert np.linalg.norm(actual - expected) < 0.03 * np.linalg.norm(expected)


@pytest.mark.data
def test_no_real_model_has_such_an_einsum(data):
    """The pass leaves the real models as they are, so that their results stay comparable."""
    folders = [data / name for name in ("models", "coverage", "modern")]
    for path in (path for folder in folders for path in sorted(folder.glob("*.onnx"))):
        operators = {node.op_type for node in ir.traversal.RecursiveGraphIterator(ir.load(path).graph)}
        assert "Einsum" not in operators, path.name


def network(equation, shape, weight, weight_first, layers=1):
    """One Einsum named "product", or several in a row, with a Relu between them."""
    nodes, source = [], "x"
    for number in range(layers):
        target = "y" if number == layers - 1 else f"h{number}"
        operands = [f"w{number}", source] if weight_first else [source, f"w{number}"]
        name = "product" if layers == 1 else f"product{number}"
        nodes.append(helper.make_node("Einsum", operands, [target], name, equation=equation))
        if target != "y":
            nodes.append(helper.make_node("Relu", [target], [f"r{number}"]))
        source = f"r{number}"
    weights = [
        numpy_helper.from_array((RNG.normal(size=weight) / 3).astype(np.float32), f"w{number}")
        for number in range(layers)
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", list(shape)), ("y", None)))
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return proto.SerializeToString()
