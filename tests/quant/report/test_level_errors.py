"""Errors over bins agree with sums over many points, for equally spaced and for other levels."""

from itertools import pairwise

import numpy as np
import pytest

from quant.report.level_errors import LevelErrors

LEVELS = {
    "uniform": np.arange(-7, 8) / 7,
    "ternary": np.array([-0.6, 0.0, 0.6]),
    "codebook": np.array([-1.0, -0.35, -0.1, 0.02, 0.3, 1.2]),
}
FACTORS = np.array([0.4, 1.0, 2.5])


@pytest.mark.parametrize("name", LEVELS)
def test_the_mean_over_a_bin_is_that_of_its_points(name):
    errors = LevelErrors(LEVELS[name])
    bins = np.array([-3.0, -0.9, -0.05, 0.0, 0.33, 0.34, 1.0, 5.0])
    absolute, squared = errors.over_bins(bins, FACTORS)
    for number, (low, high) in enumerate(pairwise(bins)):
        points = low + (np.arange(20000) + 0.5) * (high - low) / 20000
        at_points = errors.at_points(points, FACTORS)
        assert absolute[:, number] == pytest.approx(at_points[0].mean(axis=1), rel=1e-5)
        assert squared[:, number] == pytest.approx(at_points[1].mean(axis=1), rel=1e-5)


@pytest.mark.parametrize("name", LEVELS)
def test_points_go_to_the_nearest_level(name):
    levels, points = LEVELS[name], np.linspace(-2, 2, 101)
    absolute, squared = LevelErrors(levels).at_points(points, FACTORS)
    for factor, error in zip(FACTORS, absolute, strict=True):
        assert error == pytest.approx(np.abs(points[:, None] - factor * levels).min(axis=1))
    assert squared == pytest.approx(absolute**2)
