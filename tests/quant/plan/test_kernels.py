"""The kernels of a plan are those that ONNX Runtime executes for the job's file."""

import pytest
from onnx import helper

from quant.inputs import Inputs
from quant.plan.plan import plan_model
from tests.quant.graph.models import model_of, random_tensor


def kernels_of(path, spec):
    plan = plan_model(Inputs(path, path.name, spec), lambda *_: None)
    return {layer.name: (layer.form, layer.kernel) for layer in plan.layers}, plan.warnings


@pytest.fixture
def model(tmp_path):
    """A convolution, a matrix product and a recurrent layer."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "t"], ["u"], name="up"),
        helper.make_node("GlobalAveragePool", ["u"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["n"], name="matmul"),
        helper.make_node("MatMul", ["n", "wide"], ["y"], name="large"),
    ]
    shapes = {"w": (6, 6, 3, 3), "t": (6, 4, 3, 3), "m": (4, 512), "wide": (512, 512)}
    path = tmp_path / "m.onnx"
    weights = [random_tensor(name, *shape) for name, shape in shapes.items()]
    path.write_bytes(model_of(nodes, weights, {"x": ["N", 6, 8, 8]}))
    return path


def test_integer_kernels_are_named_with_activations(model):
    kernels, _ = kernels_of(model, {"preset": "int8"})
    assert kernels["conv"] == ("integer", "integer convolution (QLinearConv)")
    assert kernels["up"] == ("folded", "float (ConvTranspose): weights become floats once, when the model is loaded")
    assert kernels["matmul"][0] == "integer"
    assert kernels["matmul"][1].startswith("integer matrix product")


def test_float_kernels_and_matmulnbits_are_named_without(model):
    kernels, warnings = kernels_of(model, {"preset": "int4-weights"})
    assert kernels["conv"][1].startswith("float (")
    assert kernels["conv"][1].endswith("once, when the model is loaded")
    assert kernels["large"][0] == "matmul_nbits"
    assert "MatMulNBits" in kernels["large"][1]
    assert warnings == ()


def test_weights_that_are_dequantized_at_every_inference_are_named(model):
    kernels, warnings = kernels_of(model, {"preset": "int4-weights", "export": {"weight_storage": "direct"}})
    assert kernels["conv"] == ("direct", "float (FusedConv): weights become floats at every inference")
    assert any("dequantized at every inference" in warning and "conv" in warning for warning in warnings)
