"""Matrix products that ONNX Runtime fuses to MatMulNBits."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from quant.export.qdq import ExportedWeight, export_qdq
from quant.runtime import Session, optimised_operators
from quant.spec import resolve
from quant.weights import storage_form
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.storage_form import StorageForm
from tests.quant.export.models import agreement, matrices, normal, save
from tests.quant.onnx_text import model_of


@pytest.fixture(autouse=True)
def small_matrices_pay(monkeypatch):
    monkeypatch.setattr(storage_form, "MIN_MATMUL_NBITS_SIZE", 0)


@pytest.mark.parametrize("granularity", ["channel", "block"])
@pytest.mark.parametrize(("bits", "opset"), [(8, 21), (4, 21), (2, 25)])
@pytest.mark.parametrize("op", ["MatMul", "Gemm", "GemmTransB", "ReluGemm", "ClipMatMul", "MatMulAdd"])
def test_weight_only_matrices_run_as_matmul_nbits(quantize, tmp_path, op, bits, opset, granularity):
    path = save(tmp_path, *matrices(op))
    weights = {"bits": bits, "granularity": granularity, "block_size": 16}
    data, report = quantize({"preset": "int8-weights", "weights": weights, "export": {"opset": opset}}, path)
    operators = optimised_operators(data)
    assert operators["MatMulNBits"] == 1
    assert operators["DequantizeLinear"] == operators["Gemm"] == 0
    assert report["layers"][0]["block_size"] == (16 if granularity == "block" else None)
    assert agreement(path, data, [4, 40]) > {8: 30, 4: 12, 2: 0}[bits]
    assert [node.name for node in Session(data)._session.get_outputs()] == ["y"]


def run(model, feeds):
    """Return the output by the definition of the operators; MatMulNBits would round its input, too."""
    return ReferenceEvaluator(ir.to_proto(model)).run(None, feeds)[0]


@pytest.mark.parametrize(
    ("text", "operators"),
    [
        ("h = Gemm (x, w, b) r = Relu (h) y = Neg (r)", ["MatMul", "Add", "Max", "Neg"]),
        ("h = Gemm (x, w, b) r = Clip (h, low, high) y = Neg (r)", ["MatMul", "Add", "Max", "Min", "Neg"]),
        ("h = MatMul (x, w) r = Clip (h, , high) y = Neg (r)", ["MatMul", "Min", "Neg"]),
    ],
)
def test_the_rewritten_layer_gives_the_same_numbers_under_the_same_names(text, operators):
    """The weights are multiples of the scale, so that rounding them changes nothing."""
    weight = np.array([[127, -127, 127], [0, 1, 2], [3, 4, -5], [60, 7, 8], [9, -90, 100]]) / 64
    arrays = {"w": weight, "b": normal(3), "low": np.array(-0.5), "high": np.array(0.5)}
    used = {name: array for name, array in arrays.items() if f"{name})" in text or f"{name}," in text}
    model = model_of(f"net (float[N, 5] x) => (float[N, 3] y) {{ {text} }}", **used)
    feeds = {"x": normal(8, 5)}
    expected = run(model, feeds)
    spec = resolve({"preset": "int8-weights", "weights": {"clipping": "minmax"}})
    (layer,) = quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)
    export_qdq(model, [ExportedWeight(layer.layer, layer.quantized, StorageForm.MATMUL_NBITS)], {}, 21)
    assert [node.op_type for node in model.graph if node.op_type != "DequantizeLinear"] == operators
    assert [value.name for value in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(run(model, feeds), expected, rtol=1e-5, atol=1e-6)
