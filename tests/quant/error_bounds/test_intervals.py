"""Boxes and intervals hold every point that is drawn from them, and are hardly wider."""

import numpy as np
import pytest

from quant.error_bounds.intervals import Box, ErrorInterval

RANDOM = np.random.default_rng(0)


def box(*shape):
    low = RANDOM.normal(size=shape)
    return Box(low, low + RANDOM.random(shape))


def drawn(box):
    return RANDOM.uniform(box.low, box.high)


def test_sums_differences_and_products_hold_every_point():
    first, second, factor, matrix = box(4), box(4), RANDOM.normal(size=4), RANDOM.normal(size=(3, 4))
    for _ in range(200):
        x, y = drawn(first), drawn(second)
        for image, bounds in [
            (x + y, first.plus(second)), (x - y, first.minus(second)), (x * factor, first.times(factor)),
            (matrix @ x, first.product(matrix)), (x, first.joined(second)), (0 * x, first.with_zero()),
        ]:  # fmt: skip
            assert (bounds.low - 1e-12 <= image).all()
            assert (image <= bounds.high + 1e-12).all()
        assert np.linalg.norm(x) <= first.norm((4,)) + 1e-12
        assert np.abs(x).max() <= first.largest


def test_the_norm_of_a_box_that_broadcasts_counts_every_element():
    assert Box.of(np.array([[2.0], [1.0]])).norm((2, 3)) == pytest.approx(np.sqrt(3 * 4 + 3 * 1))


def test_each_bound_limits_the_other():
    wide, narrow = Box(np.full(4, -9.0), np.full(4, 9.0)), Box(np.full(4, -1.0), np.full(4, 1.0))
    by_norm = ErrorInterval(wide, wide, np.inf, 2.0).tightened((4,))
    assert (by_norm.change.low, by_norm.change.high) == (pytest.approx(-2), pytest.approx(2))
    by_box = ErrorInterval(wide, narrow, np.inf, np.inf).tightened((4,))
    assert (by_box.size, by_box.error) == (18, 2)


def test_only_a_constant_is_exact():
    constant, zero = Box.of(np.ones(3)), Box.of(np.zeros(3))
    assert ErrorInterval(constant, zero, 2, 0).is_exact
    assert not ErrorInterval(constant, constant, 2, 2).is_exact
    assert not ErrorInterval(constant.with_zero(), zero, 2, 0).is_exact


def test_clipping_and_rounding_of_every_point_in_the_boxes_stay_inside():
    for _ in range(200):
        low, below = RANDOM.normal(size=2) * 3
        value, change = (Box(np.array([x]), np.array([x + w])) for x, w in ((low, RANDOM.random() * 4),
                                                                             (below, RANDOM.random() * 2)))  # fmt: skip
        interval = ErrorInterval(value, change, np.inf, np.inf)
        least, most = np.sort(RANDOM.normal(size=2) * 3)
        x = np.linspace(value.low, value.high, 101)
        d = np.linspace(change.low, change.high, 41)[:, None]
        clipped = interval.clipped(least, most).change
        seen = np.clip(x + d, least, most) - np.clip(x, least, most)
        assert clipped.low <= seen.min() + 1e-12
        assert clipped.high >= seen.max() - 1e-12
        assert clipped.high - clipped.low <= seen.max() - seen.min() + 0.2  # and hardly further than the samples show
        rounded = interval.rounded(least, most, 0.1, (1,)).change
        seen = np.clip(x + d, least, most) - x
        assert rounded.low == pytest.approx(seen.min() - 0.05, abs=0.1)
        assert rounded.low <= seen.min() - 0.05 + 1e-12
        assert rounded.high >= seen.max() + 0.05 - 1e-12


def test_rounding_by_the_range_of_the_values_stays_inside():
    for _ in range(50):
        x, d = RANDOM.normal(size=40) * 3 + RANDOM.normal(), RANDOM.normal(size=40) / 10
        value, change = Box(x - 0.1, x + 0.1), Box(np.minimum(d, 0), np.maximum(d, 0))
        interval = ErrorInterval(value, change, np.inf, float(np.linalg.norm(d))).rounded_by_range((40,))
        read = x + d
        low, high = min(read.min(), 0), max(read.max(), 0)
        step = (high - low) / 255
        zero = np.rint(-low / step)
        difference = (np.clip(np.rint(read / step) + zero, 0, 255) - zero) * step - x
        assert (interval.change.low <= difference).all()
        assert (difference <= interval.change.high).all()
        assert np.linalg.norm(difference) <= interval.error
