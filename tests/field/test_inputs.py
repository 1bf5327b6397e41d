"""Data of every form: fixed batches, batches of one inside, other batch axes, taken names, labels, odd calibration."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quant.errors import InputMismatch
from quant.pipeline import Inputs, quantize_model
from tests.field.conftest import QuantizedCase
from tests.specs import UNTIMED

RANDOM = np.random.default_rng(0)
HEADER = '<ir_version: 8, opset_import: ["": 18]>'
CONV = "h = Conv<pads = [1, 1, 1, 1]>(x, w1) p = GlobalAveragePool(h) f = Flatten(p)"


def values(*shape, scale=1.0):
    return (scale * RANDOM.normal(size=shape)).astype(np.float32)


@pytest.fixture
def quantize(tmp_path):
    """Return a function that quantizes a model by its text with its data, given as arrays."""

    def run(text, calibration, evaluation=None, weights=(), preset="int8"):
        model = onnx.parser.parse_model(f"{HEADER} {text}")
        generator = np.random.default_rng(1)
        for name, shape in weights:
            array = generator.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
            model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        path, out = tmp_path / "model.onnx", tmp_path / "out"
        onnx.save(model, path)
        out.mkdir(exist_ok=True)
        sets = {"calibration": calibration, "evaluation": calibration if evaluation is None else evaluation}
        for role, arrays in sets.items():
            np.savez(tmp_path / f"{role}.npz", **arrays)
        files: dict[str, Path] = {role: tmp_path / f"{role}.npz" for role in sets}
        quantize_model(Inputs(path, path.name, {**UNTIMED, "preset": preset}, **files), out, lambda *_: None)
        return QuantizedCase(path, out / "model.onnx", json.loads((out / "report.json").read_text()))

    return run


def codes(case):
    return [finding["code"] for finding in case.report["data_findings"]]


@pytest.mark.parametrize("preset", ["int8", "int4", "int8-weights"])
def test_a_batch_of_exactly_eight_works(quantize_case, preset):
    case = quantize_case("fixed-8-of-16", preset)
    assert case.report["samples"]["calibration"] == {"given": 16, "used": 16, "batch": 8}
    assert case.summary["output_sqnr_db"] > 20
    assert codes(case) == []


@pytest.mark.parametrize("preset", ["int8", "int4", "int8-weights"])
def test_sixteen_of_twenty_samples_are_used_and_that_is_said(quantize_case, preset):
    case = quantize_case("fixed-8-of-20", preset)
    assert case.report["samples"]["calibration"] == {"given": 20, "used": 16, "batch": 8}
    assert codes(case) == ["dataset.incomplete_batch"]
    assert any(text.startswith("16 of the 20 samples of the calibration data") for text in case.report["warnings"])


@pytest.mark.parametrize("preset", ["int8", "int4", "int8-weights"])
def test_a_batch_of_one_inside_is_run_sample_by_sample_and_that_is_said(quantize_case, preset):
    case = quantize_case("reshape-1-inside", preset)
    assert case.report["samples"]["calibration"] == {"given": 32, "used": 32, "batch": 1}
    assert codes(case) == ["dataset.sample_by_sample"]


def test_constant_calibration_is_said(quantize_case):
    case = quantize_case("all-zeros", "int8")
    assert "calibration.all_zeros" in codes(case)
    assert "calibration.saturates" in codes(case)
    assert "constant in the calibration data" in " ".join(case.report["warnings"])
    assert max(layer["activation"]["clipped_fraction"] for layer in case.report["layers"]) > 0.5


def test_an_input_called_mean_can_be_given(quantize_case):
    assert quantize_case("input-named-mean", "int8").summary["output_sqnr_db"] > 40


@pytest.mark.parametrize("size", [1, 3, 8, 16, 64])
def test_every_fixed_batch_works_with_labels(quantize, size):
    text = f"g (float[{size}, 3, 4, 4] x) => (float[{size}, 10] y) {{ {CONV} y = Gemm(f, w4) }}"
    sets = [{"x": values(count, 3, 4, 4), "labels": np.arange(count) % 10} for count in (70, 130)]
    case = quantize(text, *sets, weights=[("w1", (6, 3, 3, 3)), ("w4", (6, 10))])
    assert [case.report["samples"][role]["used"] for role in ("calibration", "evaluation")] == [
        count // size * size for count in (70, 130)
    ]
    assert case.summary["top1_float"] is not None


INSIDE = {
    "one sample reshaped": ("s = Constant<value_ints = [1, 96]>() f = Reshape(h, s) y = Gemm(f, w2)", 1),
    "one row": ("f = Flatten<axis = 0>(h) y = MatMul(f, w2)", 1),
    "a squeezed batch axis": (
        "a = Constant<value_ints = [0]>() q = Squeeze(h, a) s = Constant<value_ints = [1, 96]>() "
        "f = Reshape(q, s) y = Gemm(f, w2)", 1,
    ),
    "eight inside": ("s = Constant<value_ints = [8, 96]>() f = Reshape(h, s) y = Gemm(f, w2)", 8),
}  # fmt: skip


@pytest.mark.parametrize("preset", ["int8", "int8-weights"])
@pytest.mark.parametrize("form", INSIDE)
def test_a_free_batch_that_has_one_size_inside_is_run_with_this_size(quantize, form, preset):
    body, size = INSIDE[form]
    text = f"g (float[N, 3, 4, 4] x) => (float[N, 10] y) {{ h = Conv<pads = [1, 1, 1, 1]>(x, w1) {body} }}"
    sets = [{"x": values(count, 3, 4, 4), "labels": np.arange(count) % 10} for count in (17, 26)]
    case = quantize(text, *sets, weights=[("w1", (6, 3, 3, 3)), ("w2", (96, 10))], preset=preset)
    assert {case.report["samples"][role]["batch"] for role in ("calibration", "evaluation")} == {size}
    assert codes(case)[0] == ("dataset.sample_by_sample" if size == 1 else "dataset.only_batch_size")
    assert case.summary["top1_agreement"] is not None


@pytest.mark.parametrize("preset", ["int8", "int4", "int8-weights"])
def test_a_sequence_before_the_batch_is_cut_along_the_batch(quantize, preset):
    text = "g (float[T, batch, 12] x) => (float[T, batch, 8] y) { h = MatMul(x, a) r = Relu(h) y = MatMul(r, b) }"
    case = quantize(text, {"x": values(5, 20, 12)}, {"x": values(7, 9, 12)}, [("a", (12, 16)), ("b", (16, 8))], preset)
    assert case.report["samples"]["calibration"]["given"] == 20
    assert case.report["samples"]["evaluation"]["given"] == 9
    assert case.summary["output_sqnr_db"] > 10


def test_a_recurrent_layer_sees_whole_sequences(quantize):
    text = (
        "g (float[T, batch, 12] x, float[1, batch, 8] h0) => (float[T, 1, batch, 8] y)"
        "{ y, last = GRU<hidden_size = 8>(x, w, r, , , h0) }"
    )
    weights = [("w", (1, 24, 12)), ("r", (1, 24, 8))]
    case = quantize(text, {"x": values(5, 20, 12), "h0": values(1, 20, 8)}, weights=weights, preset="int8-weights")
    assert case.report["samples"]["calibration"] == {"given": 20, "used": 20, "batch": 4}
    assert case.summary["output_sqnr_db"] > 25


def test_calibration_and_evaluation_may_have_other_heights_and_widths(quantize):
    text = f"g (float[N, 3, H, W] x) => (float[N, 10] y) {{ {CONV} y = Gemm(f, w4) }}"
    sets = [{"x": values(20, 3, 8, 6)}, {"x": values(10, 3, 5, 12)}]
    assert quantize(text, *sets, weights=[("w1", (6, 3, 3, 3)), ("w4", (6, 10))]).summary["output_sqnr_db"] > 20


@pytest.mark.parametrize("preset", ["int8", "int8-weights"])
@pytest.mark.parametrize("each", [False, True], ids=["one value", "a value a sample"])
def test_an_input_without_a_batch_axis_beside_one_with_it(quantize, each, preset):
    text = (
        "g (float[N, 12] x, float[3, 16] prior) => (float[N, 16] y)"
        "{ h = MatMul(x, a) m = ReduceMean<keepdims = 0>(prior) y = Add(h, m) }"
    )
    prior = values(20, 3, 16) if each else values(3, 16)
    case = quantize(text, {"x": values(20, 12), "prior": prior}, weights=[("a", (12, 16))], preset=preset)
    assert case.report["samples"]["calibration"] == {"given": 20, "used": 20, "batch": 1 if each else 4}
    assert case.summary["output_sqnr_db"] > 20


def test_a_model_whose_input_is_called_labels_has_labels_under_the_other_name(quantize):
    text = "g (float[N, 12] labels) => (float[N, 10] y) { y = MatMul(labels, a) }"
    arrays = {"labels": values(20, 12), "__labels__": np.arange(20) % 10}
    assert quantize(text, arrays, weights=[("a", (12, 10))]).summary["top1_float"] is not None


def test_labels_of_a_model_without_classes_are_said_to_be_unused(quantize):
    text = "g (float[N, 12] x) => (int64[N] y) { h = MatMul(x, a) y = ArgMax<axis = 1, keepdims = 0>(h) }"
    arrays = {"x": values(20, 12), "labels": np.full(20, 99)}
    case = quantize(text, arrays, weights=[("a", (12, 10))])
    assert "dataset.labels_unused" in codes(case)
    assert case.summary["top1_float"] is None


def test_fewer_samples_than_one_batch_are_refused_with_what_to_send(quantize):
    text = "g (float[8, 12] x) => (float[8, 10] y) { y = MatMul(x, a) }"
    with pytest.raises(InputMismatch, match="exactly 8 samples; the dataset has 7; accepted: at least 8"):
        quantize(text, {"x": values(7, 12)}, weights=[("a", (12, 10))])


def test_pixels_that_were_scaled_in_one_set_only_are_said(quantize):
    text = "g (float[N, 12] x) => (float[N, 10] y) { y = MatMul(x, a) }"
    pixels = RANDOM.integers(0, 256, (20, 12)).astype(np.float32)
    case = quantize(text, {"x": pixels}, {"x": pixels / 255}, weights=[("a", (12, 10))])
    assert codes(case) == ["calibration.range_differs"]


def test_one_sample_that_is_repeated_is_said(quantize):
    text = "g (float[N, 12] x) => (float[N, 10] y) { y = MatMul(x, a) }"
    repeated = {"x": np.repeat(values(1, 12), 20, axis=0)}
    assert "calibration.same_sample" in codes(quantize(text, repeated, {"x": values(20, 12)}, [("a", (12, 10))]))


def test_a_mask_with_minus_infinity_is_accepted(quantize):
    text = """g (float[N, 6, 12] x, float[N, 1, 6] mask) => (float[N, 6, 12] y) {
        k = MatMul(x, a) t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(x, t) m = Add(s, mask)
        p = Softmax<axis = -1>(m) v = MatMul(x, b) y = MatMul(p, v) }"""
    mask = np.zeros((20, 1, 6), np.float32)
    mask[:, :, 4:] = -np.inf
    case = quantize(text, {"x": values(20, 6, 12), "mask": mask}, weights=[("a", (12, 12)), ("b", (12, 12))])
    assert case.summary["output_sqnr_db"] > 20
    assert codes(case) == []
