"""Operators after MatMul layers, which ONNX Runtime must not fuse with the MatMul."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from quant.export.followers import rewrite_followers
from quant.graph.inventory import inventory
from quant.graph.names import Names
from quant.weights.storage_form import StorageForm
from tests.quant.export.models import normal
from tests.quant.onnx_text import model_of

ARRAYS = {"w": normal(4, 4), "n": normal(4), "m": normal(3, 4), "low": np.array(-0.2), "high": np.array(0.3)}


def rewritten(text, shape="3, 4", form=StorageForm.INTEGER, quantized=()):
    """Return the operators after the rewrite, and the largest change of an output."""
    used = {name: array for name, array in ARRAYS.items() if f"{name})" in text or f"{name}," in text}
    result = "".join(f", {size}" for size in shape.split(",")[:-1])
    model = model_of(
        f"net (float[{shape}] x) => (float[{result[2:] + ', ' if result else ''}4] y) {{ {text} }}", **used
    )
    feeds = {"x": normal(*(3 if size.strip() == "N" else int(size) for size in shape.split(",")))}
    expected = ReferenceEvaluator(ir.to_proto(model)).run(None, feeds)[0]
    layers = [(layer, form) for layer in inventory(model)[0]]
    rewrite_followers(model, layers, quantized, Names.of(model.graph))
    actual = ReferenceEvaluator(ir.to_proto(model)).run(None, feeds)[0]
    assert [value.name for value in model.graph.outputs] == ["y"]
    return [node.op_type for node in model.graph], np.abs(actual - expected).max()


@pytest.mark.parametrize("form", [StorageForm.INTEGER, StorageForm.DIRECT, StorageForm.MATMUL_NBITS])
@pytest.mark.parametrize(
    ("text", "shape", "operators"),
    [
        ("h = MatMul (x, w) y = Add (h, m)", "3, 4", ["MatMul", "Sum"]),
        ("h = MatMul (x, w) y = Add (m, h)", "N, 4", ["MatMul", "Sum"]),
        ("h = MatMul (x, w) y = Add (h, x)", "3, 4", ["MatMul", "Sum"]),
        ("h = MatMul (x, w) g = MatMul (h, w) i = MatMul (x, w) y = Add (i, g)", "3, 4", ["MatMul"] * 3 + ["Sum"]),
        ("h = MatMul (x, w) y = Add (h, n)", "3, 4", ["MatMul", "Add"]),
        ("h = MatMul (x, w) y = Add (h, n)", "4", ["MatMul", "Sum"]),
        ("h = MatMul (x, w) y = Add (h, x)", "2, 3, 4", ["MatMul", "Add"]),
        ("h = MatMul (x, w) r = Relu (h) y = Neg (r)", "3, 4", ["MatMul", "Max", "Neg"]),
        ("h = MatMul (x, w) a = Add (h, n) r = Clip (a, low, high) y = Neg (r)", "3, 4",
         ["MatMul", "Add", "Max", "Min", "Neg"]),
        ("h = MatMul (x, w) r = Clip (h, , high) y = Neg (r)", "3, 4", ["MatMul", "Min", "Neg"]),
        ("h = Gemm (x, w, n) r = Relu (h) y = Neg (r)", "3, 4", ["Gemm", "Max", "Neg"]),
        ("h = MatMul (x, w) y = Relu (h)", "3, 4", ["MatMul", "Relu"]),
        ("h = MatMul (x, w) r = Relu (h) y = Add (h, r)", "3, 4", ["MatMul", "Relu", "Add"]),
    ],
)  # fmt: skip
def test_what_a_slow_kernel_would_absorb_is_written_otherwise(text, shape, operators, form):
    assert rewritten(text, shape, form) == (operators, 0)


def test_folded_weights_and_quantized_activations_stay_as_they_are():
    text = "h = MatMul (x, w) r = Relu (h) y = Neg (r)"
    unchanged = (["MatMul", "Relu", "Neg"], 0)
    assert rewritten(text, form=StorageForm.FOLDED) == rewritten(text, quantized={"h"}) == unchanged
    assert rewritten(text, quantized={"r"}) == unchanged


def test_a_quantized_rectifier_beside_another_reader_is_written_otherwise():
    text = "h = MatMul (x, w) r = Relu (h) y = Add (h, r)"
    assert rewritten(text, quantized={"r"}) == (["MatMul", "Max", "Add"], 0)
    assert rewritten(text) == (["MatMul", "Relu", "Add"], 0)
