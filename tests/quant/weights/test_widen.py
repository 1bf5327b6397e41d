"""Wider scales for single rows, on every kind of grid."""

import numpy as np
import pytest

from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.quantize import clip_bound, decoded, fit_weight, quantize_weight
from quant.weights.widen import widen_scales

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("bits", "grid"), [(8, "uniform"), (4, "uniform"), (4, "kmeans"), (4, "lloyd_max"), (3, "apot"), (2, "ternary_twn")]
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
    assert np.abs(after[narrow] - weight[narrow]).max() <= max(0.51e-5, np.abs(before - weight)[narrow].max() + 0.51e-5)
    assert widened.error.mse == pytest.approx(np.mean((after - weight) ** 2), rel=1e-4)
