"""Legal models and data that were refused, and errors that name the place of the fault."""

import json

import numpy as np
import onnx
import pytest

from quant.errors import InputMismatch, ModelError, NonFiniteWeight
from quant.pipeline import Inputs, quantize_model
from tests.specs import UNTIMED

RNG = np.random.default_rng(5)
W = RNG.normal(size=(12, 5)).astype(np.float32)
X = RNG.normal(size=(9, 12)).astype(np.float32)
GEMM = "(float[N, 12] x) => (float[N, 5] y) { y = Gemm(x, w, c) }"
MATMUL = "(float[N, 12] x) => (float[N, 5] y) { y = MatMul(x, w) }"


@pytest.mark.parametrize("preset", ["int8", "int8-weights", "int4", "codebook4", "ternary"])
def test_a_layer_whose_bias_forbids_a_class_stays_in_float(preset, tmp_path):
    text = "(float[N, 12] x) => (float[N, 5] y) { h = MatMul(x, v) r = Relu(h) y = Gemm(r, w, c) }"
    bias = np.array([0, -np.inf, 0, 0, 1], np.float32)
    constants = {"v": RNG.normal(size=(12, 12)).astype(np.float32), "w": W, "c": bias}
    report = quantized(text, constants, {"x": X}, preset, tmp_path)
    (skipped,) = report["skipped"]
    assert "bias holds NaN or infinity" in skipped["reason"]
    assert report["outputs"][0]["nonfinite_agreement"] == 1


@pytest.mark.parametrize("words", [np.array([["a"], ["bcd"]] * 5), np.array([["é"]] * 10)])
def test_strings_can_be_given(words, tmp_path):
    text = "(float[N, 12] x, string[N, 1] s) => (float[N, 5] y, string[N, 1] t) { y = MatMul(x, w) t = Identity(s) }"
    data = {"x": np.concatenate([X, X[:1]]), "s": words}
    report = quantized(text, {"w": W}, data, "int8", tmp_path)
    assert report["outputs"][1]["agreement"] == 1


def test_an_input_that_names_no_batch_beside_one_that_does_may_have_one_value(tmp_path):
    text = """(float[T, B, 12] x, float[T] t) => (float[T, B, 5] y)
        { h = MatMul(x, w) s = Constant<value_ints = [-1, 1, 1]>() u = Reshape(t, s) y = Mul(h, u) }"""
    data = {"x": np.stack([X] * 7), "t": np.arange(7, dtype=np.float32)}
    report = quantized(text, {"w": W}, data, "int8", tmp_path)
    assert report["outputs"][0]["samples"] == 9
    assert report["outputs"][0]["sqnr_db"] > 20


def test_numbers_for_an_input_of_strings_are_refused(tmp_path):
    text = "(float[N, 12] x, string[N] s) => (float[N, 5] y, string[N] t) { y = MatMul(x, w) t = Identity(s) }"
    with pytest.raises(InputMismatch, match="array 's' is int64; accepted: string"):
        quantized(text, {"w": W}, {"x": X, "s": np.arange(9)}, "int8", tmp_path)


def test_a_sequence_input_is_refused_by_its_name(tmp_path):
    text = "(seq(float[N, 12]) s) => (float[N, 5] y) { x = ConcatFromSequence<axis = 0>(s) y = MatMul(x, w) }"
    with pytest.raises(InputMismatch, match="input 's' of the model is a sequence"):
        quantized(text, {"w": W}, {"s": X}, "int8", tmp_path)


def test_a_weight_with_nan_is_refused_with_the_layer(tmp_path):
    with pytest.raises(NonFiniteWeight, match="layer 'MatMul_0': row 0 of the weight"):
        quantized(
            MATMUL, {"w": np.where(np.arange(5) == 0, np.nan, W).astype(np.float32)}, None, "int4-weights", tmp_path
        )


def test_a_failed_run_names_the_operator_without_the_runtimes_codes(tmp_path):
    text = "(int64[N, 3] i) => (float[N, 3, 5] y) { y = Gather(w, i) }"
    with pytest.raises(ModelError, match=r"Gather failed: indices element out of data bounds, idx=99") as caught:
        quantized(text, {"w": W}, {"i": np.full((9, 3), 99)}, "int8", tmp_path)
    assert "Non-zero status" not in caught.value.detail


@pytest.mark.parametrize("zero", ["w", "x"])
def test_a_missing_cosine_has_a_reason(zero, tmp_path):
    data = {"x": X * (zero != "x")}
    (output,) = quantized(GEMM, {"w": W * (zero != "w"), "c": np.zeros(5, np.float32)}, data, "int8", tmp_path)[
        "outputs"
    ]
    assert output["identical"]
    assert output["cosine"] is None
    assert "cosine" in output["reason"]


def quantized(text, constants, data, preset, folder):
    """Quantize a model with the same data for calibration and evaluation, and return its report."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> g {text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, folder / "m.onnx")
    sets = {} if data is None else {role: folder / f"{role}.npz" for role in ("calibration", "evaluation")}
    for path in sets.values():
        np.savez(path, **data)
    quantize_model(Inputs(folder / "m.onnx", "m.onnx", {**UNTIMED, "preset": preset}, **sets), folder, lambda *_: None)
    return json.loads((folder / "report.json").read_text())
