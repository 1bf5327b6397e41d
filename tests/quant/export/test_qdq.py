"""QDQ export of whole models."""

import numpy as np
import onnx
import openvino
import pytest
from onnx.reference import ReferenceEvaluator

from quant.calibration.activation_ranges import ActivationRange
from quant.evaluation.sqnr import sqnr_db
from quant.export.qdq import ExportedWeight, export_qdq
from quant.runtime import Session
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers
from tests.quant.export.models import normal
from tests.quant.onnx_text import model_of


@pytest.mark.parametrize(
    "spec",
    [
        {"preset": "int8"},
        {"preset": "int4"},
        {"preset": "codebook4"},
        {"preset": "int4-weights"},
        {"preset": "int8", "export": {"profile": "generic"}},
    ],
)
def test_other_runtimes_agree(quantize, examples, spec):
    data, _ = quantize(spec)
    images = np.load(examples / "digits_evaluation.npz")["input"][:32]
    (actual,) = Session(data).run({"input": images})
    (reference,) = ReferenceEvaluator(onnx.load_model_from_string(data)).run(None, {"input": images})
    compiled = openvino.Core().compile_model(openvino.Core().read_model(data), "CPU")
    for other in (reference, compiled({"input": images})[0]):
        assert sqnr_db(float((actual**2).sum()), float(((other - actual) ** 2).sum())) > 25
        assert (other.argmax(1) == actual.argmax(1)).mean() > 0.95


def export(text, ranges, spec=None, **arrays):
    """Return the model of a text after export with these ranges."""
    resolved, model = resolve(spec or {"preset": "int8"}), model_of(text, **arrays)
    quantized = quantize_layers(choose_layers(model, resolved)[0], {}, resolved, lambda *_: None)
    export_qdq(model, [ExportedWeight(layer.layer, layer.quantized, layer.form) for layer in quantized], ranges, 21)
    return model


@pytest.mark.parametrize(
    ("activation", "upper", "left"),
    [
        ("Relu (c)", 3.0, False),
        ("Clip (c, zero, six)", 5.0, False),
        ("Clip (c, zero, six)", 9.0, True),
        ("Sigmoid (c)", 1.0, True),
    ],
)
def test_an_activation_is_left_out_if_quantization_saturates_alike(activation, upper, left):
    text = f"net (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y) {{ c = Conv (x, w) r = {activation} y = Conv (r, v) }}"
    constants = {"zero": np.array(0.0), "six": np.array(6.0)} if "Clip" in activation else {}
    ranges = {"x": ActivationRange(-1, 1), "r": ActivationRange(0, upper), "y": ActivationRange(-1, 1)}
    model = export(text, ranges, w=normal(2, 2, 1, 1), v=normal(2, 2, 1, 1), **constants)
    assert (activation.split()[0] in {node.op_type for node in model.graph}) == left


def test_a_quantized_output_keeps_its_name():
    text = "net (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y) { y = Conv (x, w) }"
    model = export(text, {"x": ActivationRange(-1, 1), "y": ActivationRange(-1, 1)}, w=normal(2, 2, 1, 1))
    (output,) = model.graph.outputs
    assert output.name == "y"
    assert output.producer().op_type == "DequantizeLinear"


def test_a_weight_that_two_layers_share_is_stored_once():
    text = "net (float[N, 4] x) => (float[N, 4] y) { a = MatMul (x, w) r = Tanh (a) y = MatMul (r, w) }"
    for preset in ("int8", "int4-weights"):
        ranges = {"x": ActivationRange(-1, 1), "r": ActivationRange(-1, 1)} if preset == "int8" else {}
        model = export(text, ranges, {"preset": preset}, w=normal(4, 4))
        codes = [value for value in model.graph.initializers.values() if value.shape == (4, 4)]
        assert len(codes) == 1
