"""Granularity: rows that share a scale, and the way back to the weight's shape."""

import numpy as np
import pytest

from quant.spec import resolve
from quant.weights.granularity import PerBlock, PerChannel, PerTensor
from quant.weights.quantize import clip_bound, fit_weight, quantize_weight

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0), PerChannel(1), PerChannel(2)])
def test_rows_are_restored_to_their_shape(granularity):
    weight = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    rows = granularity.rows(weight)
    assert rows.shape[0] == (1 if granularity == PerTensor() else weight.shape[granularity.axis])
    np.testing.assert_array_equal(granularity.restore(rows, weight.shape), weight)
    if isinstance(granularity, PerChannel):
        np.testing.assert_array_equal(rows[1], np.take(weight, 1, granularity.axis).ravel())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [16, 30, 128])
def test_blocks_are_padded_with_zeros_and_restored_without_them(axis, size):
    weight = np.random.default_rng(0).normal(size=(60, 40)).astype(np.float32)
    granularity = PerBlock(axis, size)
    rows = granularity.rows(weight)
    length, others = weight.shape[axis], weight.shape[1 - axis]
    blocks = -(-length // size)
    assert rows.shape == (blocks * others, size)
    assert np.count_nonzero(rows) == weight.size
    np.testing.assert_array_equal(granularity.restore(rows, weight.shape), weight)


def test_the_scale_of_a_block_stands_where_the_block_is():
    weight = np.repeat(np.arange(12.0).reshape(4, 3), 8, axis=0)  # blocks of 8 along axis 0 are constant
    granularity = PerBlock(0, 8)
    scale = granularity.restore_scale(granularity.rows(weight).max(axis=1), weight.shape)
    np.testing.assert_array_equal(scale, weight[::8])


def test_smaller_blocks_lose_less():
    spec = resolve({"preset": "int4-weights", "weights": {"granularity": "block", "clipping": "minmax"}}).weights
    weight = RNG.normal(size=(24, 256)).astype(np.float32)
    errors = []
    for size in (16, 32, 64, 128):
        fitted = fit_weight(weight, PerBlock(1, size), spec)
        errors.append(quantize_weight(fitted, spec, clip_bound(fitted, spec)).error.mse)
    assert errors == sorted(errors)
