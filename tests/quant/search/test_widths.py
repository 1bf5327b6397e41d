"""Weights at every width: which widths there are, and the error of each."""

from itertools import pairwise

import numpy as np
import pytest

from quant.graph.im2col import weight_matrix
from quant.search.widths import closest_width, quantize_at_widths, relative_error, sections
from quant.spec import resolve
from quant.weights.quantize import decoded


def ignore(*_):
    """Ignore progress."""


@pytest.mark.parametrize(("opset", "bits"), [(21, [8, 4]), (25, [8, 4, 2])])
def test_only_widths_that_the_file_stores_are_offered(context, opset, bits):
    spec = {"preset": "int8", "budget": {"max_size_ratio": 0.3}, "export": {"opset": opset}}
    search = context(spec)
    for layer, section in search.work:
        offered = [narrower.bits for narrower in sections(layer, section, search.spec)]
        assert [width for width in offered if width != 6] == bits


def test_a_rule_that_sets_the_bits_leaves_one_width(context):
    rules = [{"match": {"op": "Gemm"}, "weights": {"bits": 8}}]
    search = context({"preset": "int4", "budget": {"max_size_ratio": 0.3}, "layers": rules})
    counts = {layer.op: len(sections(layer, section, search.spec)) for layer, section in search.work}
    assert counts["Gemm"] == 1 < counts["Conv"]


def test_narrower_weights_have_larger_errors(context):
    search = context({"preset": "int8-weights", "budget": {"max_size_ratio": 0.3}, "export": {"opset": 25}})
    weights = quantize_at_widths(search.work, search.moments, search.spec, ignore)
    assert len(weights) == 7
    for widths in weights:
        errors = [relative_error(width, search.moments, search.spec) for width in widths]
        assert all(narrow > wide for wide, narrow in pairwise(errors))
        assert widths[closest_width(widths, 5)][0].quantized.bits in (4, 6)


@pytest.mark.parametrize("known", [True, False])
def test_the_relative_error_is_that_of_the_layers_output(context, known):
    search = context({"preset": "int4-weights", "budget": {"max_size_ratio": 0.3}, "bias_correction": "none"})
    moments = search.moments if known else {}
    (quantized, *_), *_ = quantize_at_widths(search.work, search.moments, search.spec, ignore)[2]
    weight = weight_matrix(quantized.layer, quantized.layer.weight.astype(np.float64))
    error = weight_matrix(quantized.layer, decoded(quantized.quantized).astype(np.float64)) - weight
    square = search.moments[quantized.layer.name].square if known else np.eye(weight.shape[2])[None]
    expected = np.einsum("gok,gkl,gol->", error, square, error) / np.einsum("gok,gkl,gol->", weight, square, weight)
    assert relative_error((quantized,), moments, search.spec) == pytest.approx(expected, rel=1e-6)


def test_a_corrected_bias_removes_the_mean_of_the_error(context):
    search = context({"preset": "int4-weights", "budget": {"max_size_ratio": 0.3}})
    (quantized, *_), *_ = quantize_at_widths(search.work, search.moments, search.spec, ignore)[2]
    plain = resolve({"preset": "int4-weights", "bias_correction": "none"})
    corrected = relative_error((quantized,), search.moments, search.spec)
    assert corrected < relative_error((quantized,), search.moments, plain)
