"""Outputs of every kind: figures are those of finite quantities, and missing figures have a reason."""

import json

import numpy as np
import onnx
import pytest

from quant.pipeline import Inputs, quantize_model
from tests.specs import UNTIMED

PRESETS = ("int8", "int4", "int4-weights", "ternary")


@pytest.mark.parametrize(("name", "least"), [("minus-inf", 36.5), ("nan-row", 37)])
def test_values_that_are_not_finite_are_left_out(name, least, quantize_case):
    case = quantize_case(name, "int8")
    assert least < case.summary["output_sqnr_db"] < 40
    (output,) = case.report["outputs"]
    assert output["nonfinite_agreement"] == 1
    assert 0 < output["finite_fraction"] < 1


def test_an_image_of_bytes_is_a_quantity(quantize_case):
    case = quantize_case("uint8-image", "ternary")
    assert case.summary["output_sqnr_db"] == pytest.approx(2.5, abs=0.2)
    assert case.report["outputs"][0]["mean_error"] == pytest.approx(22, abs=1)


@pytest.mark.parametrize("preset", PRESETS)
def test_integers_have_agreement_and_a_mean_error_but_no_sqnr(preset, quantize_case):
    case = quantize_case("int-only", {"preset": preset, "gates": {"min_output_sqnr_db": 20}})
    assert case.summary["output_sqnr_db"] is case.summary["worst_output"] is None
    (output,) = case.report["outputs"]
    assert 0 <= output["agreement"] <= 1
    assert output["mean_error"] >= 0
    assert "compared by agreement" in output["reason"]


@pytest.mark.parametrize("preset", PRESETS)
def test_shapes_that_depend_on_values_give_null_with_the_reason(preset, quantize_case):
    case = quantize_case("nonzero", preset)
    for output in case.report["outputs"]:
        assert (output["sqnr_db"] is None) == (output["reason"] is not None)


SIGNATURE = '<ir_version: 10, opset_import: ["" : 21]> g (float[N, 8] x) => '
KINDS = {
    "unique": "(float[U] u, int64[I] i) H { h = Gemm(x, w, b) r = Round(h) u, f, i, k = Unique(r) }",
    "selected rows": (
        "(float[S, 5] y) H { h = MatMul(x, w) s = ReduceSum<keepdims = 0>(h, one) p = Greater(s, zero) "
        "k = Compress<axis = 0>(x, p) y = Gemm(k, v, c) }"
    ),
    "sequence": "(seq(float[N, 4]) y) H { h = Gemm(x, w, b) y = SplitToSequence<axis = 1>(h, four) }",
    "durations": (
        "(int64[D] y, float[N, 5] z) H { h = Gemm(x, w, b) a = Abs(h) d = ReduceSum<keepdims = 0>(a) "
        "k = Cast<to = 7>(d) y = Range(begin, k, step) z = Gemm(x, v, c) }"
    ),
    "booleans": "(bool[N, 12] y) H { h = Gemm(x, w, b) y = Greater(h, zero) }",
    "mask": "(float[N, 12] y) H { h = Gemm(x, w, b) p = Greater(b, zero) y = Where(p, h, lowest) }",
    "small beside large": "(float[N, 12] y, float[N, 5] z) H { h = Gemm(x, w, b) y = Mul(h, big) z = Gemm(x, v, c) }",
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_output_has_figures_or_a_reason(kind, preset, tmp_path):
    spec = {"preset": preset} | ({"budget": {"max_size_ratio": 5}} if preset == "int4" else {})
    report = quantized(kind, spec, tmp_path)
    for output in report["outputs"]:
        if output["sqnr_db"] is None:
            assert output["reason"]
    if kind == "mask":
        assert 0 < report["summary"]["output_sqnr_db"] < 60
    if kind == "small beside large":
        assert report["summary"]["worst_output"]["name"] in ("y", "z")


def quantized(kind, spec, folder):
    """Quantize a small model with random data and return its report."""
    rng = np.random.default_rng(3)
    constants = {
        "w": rng.normal(size=(8, 12)), "b": rng.normal(size=12), "v": rng.normal(size=(8, 5)), "c": rng.normal(size=5),
        "one": np.array([1]), "zero": np.array(0.0), "four": np.array(4), "begin": np.array(0), "step": np.array(1),
        "lowest": np.array(np.finfo(np.float32).min), "big": np.array(1000.0),
    }  # fmt: skip
    model = onnx.parser.parse_model(SIGNATURE + KINDS[kind].replace(" H ", " "))
    for name, array in constants.items():
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        if any(name in node.input for node in model.graph.node):
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, folder / "m.onnx")
    for role in ("calibration", "evaluation"):
        np.savez(folder / f"{role}.npz", x=rng.normal(size=(24, 8)).astype(np.float32))
    sets = {role: folder / f"{role}.npz" for role in ("calibration", "evaluation")}
    quantize_model(Inputs(folder / "m.onnx", "m.onnx", {**UNTIMED, **spec}, **sets), folder, lambda *_: None)
    return json.loads((folder / "report.json").read_text())
