"""Codes whose pair sums fit 16 bits, against an emulation of VPMADDUBSW."""

import numpy as np
import pytest

from quant.evaluation.sqnr import sqnr_db
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.pair_sums import integer_codes, pair_excess, sum_order
from quant.weights.quantize import decoded
from quant.weights.storage_form import StorageForm
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
MODELS = {
    "conv": ("net (float[N, 5, 6, 6] x) => (float[N, 4, 4, 4] y) { y = Conv (x, w) }", (4, 5, 3, 3)),
    "grouped": ("net (float[N, 8, 6, 6] x) => (float[N, 6, 4, 4] y) { y = Conv <group = 2> (x, w) }", (6, 4, 3, 3)),
    "depthwise": ("net (float[N, 4, 6, 6] x) => (float[N, 4, 4, 4] y) { y = Conv <group = 4> (x, w) }", (4, 1, 3, 3)),
    "matmul": ("net (float[N, 33] x) => (float[N, 7] y) { y = MatMul (x, w) }", (33, 7)),
    "gemm": ("net (float[N, 33] x) => (float[N, 7] y) { y = Gemm <transB = 1> (x, w) }", (7, 33)),
    "batch": ("net (float[B, 3, 4, 32] x) => (float[B, 3, 4, 5] y) { y = MatMul (x, w) }", (3, 32, 5)),
}


def quantized(kind, pair_sums, mode="static", **weights):
    """Return the only layer of a model, quantized."""
    text, shape = MODELS[kind]
    model = model_of(text, w=RNG.normal(size=shape))
    spec = resolve({"weights": {"pair_sums": pair_sums, **weights}, "activations": {"mode": mode}})
    (layer,) = quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)
    return layer


def saturating_sums(codes, activations):
    """Return the sums of products (outputs,) with pairs added in 16 bits, as VPMADDUBSW and VPMADDWD form them."""
    width = codes.shape[1] + codes.shape[1] % 2
    padded = np.zeros((len(codes), width), np.int64)
    padded[:, : codes.shape[1]] = codes * activations
    pairs = padded.reshape(len(codes), -1, 2).sum(axis=2)
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1)


def ordered_codes(layer):
    return sum_order(integer_codes(layer.quantized), layer.layer.operator, layer.layer.axis).astype(np.int64)


def worst(codes):
    """Return the activations that make the sums of positive and of negative codes as large as possible."""
    return [np.where(codes > 0, 255, 0), np.where(codes < 0, 255, 0)]


SHARED = {"bits": 4, "grid": {"name": "kmeans", "tables": "layer"}}


@pytest.mark.parametrize("weights", [{}, {"granularity": "tensor"}, {"bits": 4, "grid": "kmeans"}, SHARED])
@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "depthwise"])
def test_no_sum_saturates_for_the_worst_activations(kind, weights):
    codes = ordered_codes(quantized(kind, "int16", **weights))
    assert pair_excess(codes).max() <= 0
    for activations in worst(codes):
        assert np.array_equal(saturating_sums(codes, activations), (codes * activations).sum(axis=1))


def test_rows_that_share_a_table_are_rounded_together():
    weight = quantized("conv", "int16", **SHARED).quantized
    tables = np.rint(weight.levels / weight.scale[:, None])
    assert weight.rows_per_table == len(tables) == 4
    assert np.abs(tables).max() < 127
    assert (tables == tables[0]).all()


def test_sums_of_dynamic_activations_do_not_saturate_either():
    layer = quantized("matmul", "int16", mode="dynamic")
    assert layer.form is StorageForm.DYNAMIC
    assert pair_excess(ordered_codes(layer)).max() <= 0


@pytest.mark.parametrize("kind", ["conv", "matmul"])
def test_sums_saturate_without_the_option(kind):
    codes = ordered_codes(quantized(kind, "any"))
    assert any((saturating_sums(codes, a) != (codes * a).sum(axis=1)).any() for a in worst(codes))


def test_the_error_is_less_than_with_seven_bits():
    layer = quantized("conv", "int16")
    weight, half = layer.layer.weight, layer.fitted.statistics.max_abs / 63
    seven = np.rint(weight / half[:, None, None, None]) * half[:, None, None, None]
    signal = float((weight**2).sum())
    noise = float(((decoded(layer.quantized) - weight) ** 2).sum())
    assert sqnr_db(signal, noise) > sqnr_db(signal, float(((seven - weight) ** 2).sum())) + 1
    assert layer.quantized.error.mse == pytest.approx(noise / weight.size, rel=1e-5)
    assert "fewer levels" in layer.notes[-1]


def test_a_depthwise_layer_and_narrow_codes_stay_as_they_are():
    for kind, weights in (("depthwise", {}), ("conv", {"bits": 4})):
        assert not any("fewer levels" in note for note in quantized(kind, "int16", **weights).notes)
