"""Wider scales for single rows, on every kind of grid."""

import numpy as np
import pytest

from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.quantize import clip_bound, decoded, fit_weight, quantize_weight
from quant.weights.widen import widen_scales

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("bits", "grid"),
    [(8, "uniform"), (4, "uniform"), (4, "kmeans"), (4, "lloyd_max"), (3, "apot"), (2, "ternary_twn"), (3, "mid_rise")],
)
def test_only_narrow_rows_change_and_lie_on_multiples_of_the_wider_scale(bits, grid):
    weight = (RNG.normal(size=(3, 200)) * [[1.0], [1e-3], [1e-6]]).astype(np.float32)
    section = resolve({"preset": "int8-weights", "weights": {"bits": bits, "grid": grid}}).weights
    fitted = fit_weight(weight, PerChannel(0), section)
    quantized = quantize_weight(fitted, section, clip_bound(fitted, section))
    least = np.full(3, 1e-5)
    widened = widen_scales(fitted, section, quantized, least)
    narrow = quantized.scale < least
    assert 0 < narrow.sum() < 3
    before, after = decoded(quantized), decoded(widened)
    np.testing.assert_array_equal(after[~narrow], before[~narrow])
    np.testing.assert_array_equal(widened.scale[~narrow], quantized.scale[~narrow])
    np.testing.assert_allclose(widened.scale[narrow], 1e-5)
    multiples = after[narrow] / 1e-5
    np.testing.assert_allclose(multiples, np.rint(multiples), atol=1e-3)
    half = 1.01e-5 if grid == "mid_rise" else 0.51e-5  # whose levels are two scales apart
    assert np.abs(after[narrow] - weight[narrow]).max() <= max(half, np.abs(before - weight)[narrow].max() + half)
    assert widened.error.mse == pytest.approx(np.mean((after - weight) ** 2), rel=1e-4)


def test_rows_that_share_a_table_share_it_at_wider_scales_too():
    weight = (RNG.normal(size=(4, 200)) * [[1.0], [1e-6], [1.0], [0.0]]).astype(np.float32)
    options = {"bits": 4, "grid": {"name": "kmeans", "tables": 2}}
    section = resolve({"preset": "int8-weights", "weights": options}).weights
    fitted = fit_weight(weight, PerChannel(0), section)
    quantized = quantize_weight(fitted, section, clip_bound(fitted, section))
    widened = widen_scales(fitted, section, quantized, np.full(4, 1e-5))
    tables = np.rint(widened.levels / widened.scale[:, None]).reshape(2, 2, 16)
    np.testing.assert_array_equal(tables[:, 0], tables[:, 1])
    np.testing.assert_allclose(widened.scale[[1, 3]], 1e-5)
    np.testing.assert_array_equal(decoded(widened)[[0, 2]], decoded(quantized)[[0, 2]])
    assert np.abs(decoded(widened)[[1, 3]]).max() < 20e-5
