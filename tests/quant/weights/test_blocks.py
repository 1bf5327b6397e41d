"""Weights in blocks: parts give the whole, fits follow each block's size, and moments lower the output error."""

import numpy as np
import pytest

from quant.errors import NonFiniteWeight
from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights import blocks
from quant.weights.blocks import FIT_NOTE, BlockQuantizer, fit_blocks
from quant.weights.granularity import PerBlock
from quant.weights.quantize import decoded
from tests.quant.one_layer import model_of, problem_of

GRANULARITY = PerBlock(0, 16)


def layer_of(inputs=40, outputs=24):
    (layer,), _ = inventory(model_of("MatMul", (inputs, outputs), (inputs,), {}))
    return layer


def section_of(**weights):
    weights = {"granularity": "block", "block_size": 16, "rounding": "nearest", **weights}
    return resolve({"preset": "int4-weights", "weights": weights}).weights


def quantized(layer, section, moments=None):
    fitted = fit_blocks(layer.weight, GRANULARITY, section, False, "layer")
    return BlockQuantizer(layer, section, GRANULARITY, fitted, moments).quantize(layer.weight)


@pytest.mark.parametrize("clipping", ["auto", "minmax", "mae", "percentile", "support_region"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_parts_give_the_codes_of_the_whole(monkeypatch, clipping, symmetric):
    layer, section = layer_of(), section_of(clipping=clipping, symmetric=symmetric)
    whole = quantized(layer, section)
    monkeypatch.setattr(blocks, "WEIGHTS_AT_ONCE", 5 * 40)
    monkeypatch.setattr(blocks, "ROWS_AT_ONCE", 15)
    parts = quantized(layer, section)
    np.testing.assert_array_equal(parts.codes, whole.codes)
    np.testing.assert_array_equal(parts.scale, whole.scale)
    np.testing.assert_allclose(parts.clip, whole.clip)
    assert (whole.zero is None) == symmetric
    difference = (decoded(parts) - layer.weight).astype(np.float64)
    np.testing.assert_allclose(parts.errors.square, np.square(difference).sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(parts.error.mse, np.square(difference).mean(), rtol=1e-5)


def test_the_expected_error_of_a_normal_weight_is_near_the_measured_one():
    layer = layer_of(inputs=160)
    scaled = layer.weight * np.repeat(np.geomspace(0.01, 10, 10), 16)[:, None].astype(np.float32)
    section = section_of(clipping="minmax")
    fitted = fit_blocks(scaled, GRANULARITY, section, False, "layer")
    assert fitted.fit.family == ("gaussian",) or fitted.fit.family == ("generalized_gaussian",)
    assert FIT_NOTE in fitted.fit.notes
    assert fitted.statistics.rows.size == 0
    weight = BlockQuantizer(layer, section, GRANULARITY, fitted).quantize(scaled)
    assert weight.error.mse_expected == pytest.approx(weight.error.mse, rel=0.1)


def test_moments_lower_the_output_error_and_feedback_lowers_it_further():
    problem, _ = problem_of(outputs=24, inputs=48)
    layer = problem.layer
    nearest, known, feedback = (
        decoded(quantized(layer, section_of(rounding=rounding), moments)).T[None]
        for rounding, moments in (("nearest", None), ("nearest", problem.moments), ("error_feedback", problem.moments))
    )
    errors = [problem.moments.energy(values - problem.matrix).sum() for values in (nearest, known, feedback)]
    assert errors[1] < errors[0]
    assert errors[2] < 0.75 * errors[1]


def test_8_bits_have_no_zero_points():
    assert quantized(layer_of(), section_of(bits=8)).zero is None


def test_a_weight_with_nan_is_refused_by_its_layer():
    weight = layer_of().weight.copy()
    weight[3, 2] = np.nan
    with pytest.raises(NonFiniteWeight, match="layer 'a'"):
        fit_blocks(weight, GRANULARITY, section_of(), False, "a")
