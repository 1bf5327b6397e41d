"""The error of a quantized weight at its layer's output."""

import numpy as np
import pytest

from quant.graph.im2col import weight_matrix
from quant.search.weight_errors import independent_error, relative_error
from quant.weights.layers import quantize_layers
from quant.weights.quantize import decoded

SPEC = {"preset": "int4-weights", "budget": {"max_size_ratio": 0.3}}


def third_layer(search):
    """Return the third layer of a search, quantized by its section, and the moments of its input."""
    quantized = quantize_layers(search.work[2:3], search.moments, search.spec, lambda *_: None)[0]
    return quantized, search.moments[quantized.layer.name]


@pytest.mark.parametrize("known", [True, False])
def test_the_relative_error_is_that_of_the_layers_output(context, known):
    quantized, moments = third_layer(context(SPEC))
    weight = weight_matrix(quantized.layer, quantized.layer.weight.astype(np.float64))
    error = weight_matrix(quantized.layer, decoded(quantized.quantized).astype(np.float64)) - weight
    square = moments.square if known else np.eye(weight.shape[2])[None]
    expected = np.einsum("gok,gkl,gol->", error, square, error) / np.einsum("gok,gkl,gol->", weight, square, weight)
    measured = relative_error(quantized, moments if known else None, bias_corrected=False)
    assert measured == pytest.approx(expected, rel=1e-6)


def test_a_corrected_bias_removes_the_mean_of_the_error(context):
    quantized, moments = third_layer(context(SPEC))
    for error in (relative_error, independent_error):
        corrected, plain = (error(quantized, moments, bias_corrected=corrected) for corrected in (True, False))
        assert 0 < corrected < plain


def test_the_independent_error_is_that_of_inputs_without_correlation(context):
    quantized, moments = third_layer(context(SPEC))
    weight = weight_matrix(quantized.layer, quantized.layer.weight.astype(np.float64))
    error = weight_matrix(quantized.layer, decoded(quantized.quantized).astype(np.float64)) - weight
    variance = moments.diagonal - moments.mean**2
    expected = np.einsum("gok,gk->", error**2, variance) / np.einsum("gok,gk->", weight**2, moments.diagonal)
    assert independent_error(quantized, moments, bias_corrected=True) == pytest.approx(expected, rel=1e-5)
