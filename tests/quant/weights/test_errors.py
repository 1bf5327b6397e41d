"""Errors of quantized weights by row, and over the whole weight."""

import numpy as np
import pytest

from quant.methods.distributions.statistics import summarise
from quant.weights.errors import RowErrors, measure_row_errors

RNG = np.random.default_rng(0)


@pytest.fixture
def errors():
    rows = RNG.normal(size=(3, 400)).astype(np.float32)
    rows[1] = 0
    decoded = np.clip(rows, -1, 1) + np.float32(0.01)
    expected = np.array([0.1, np.inf, 0.3]), np.full(3, np.inf)
    return rows, decoded, measure_row_errors(summarise(rows), decoded, np.array([1.0, 0.0, 1.0]), expected)


def test_sums_are_those_of_the_differences(errors):
    rows, decoded, measured = errors
    difference = decoded.astype(np.float64) - rows
    np.testing.assert_allclose(measured.absolute, np.abs(difference).sum(axis=1))
    np.testing.assert_allclose(measured.square, (difference**2).sum(axis=1))
    np.testing.assert_array_equal(measured.clipped, (np.abs(rows) > 1 + 1e-6).sum(axis=1))
    np.testing.assert_allclose(measured.clip_ratio, [1 / np.abs(rows[0]).max(), np.nan, 1 / np.abs(rows[2]).max()])


def test_the_whole_weight_has_means_over_weights_and_over_finite_rows(errors):
    rows, decoded, measured = errors
    whole = measured.over_weight(rows.size)
    assert whole.mse == pytest.approx(np.mean((decoded - rows) ** 2), rel=1e-5)
    assert whole.mae_expected == pytest.approx(0.2)
    assert np.isnan(whole.mse_expected)
    assert whole.clip_ratio == pytest.approx(np.nanmean(measured.clip_ratio))
    assert whole.sqnr_db == pytest.approx(10 * np.log10(np.mean(rows**2) / np.mean((decoded - rows) ** 2)), rel=1e-4)


def test_parts_are_concatenated_and_a_weight_of_zeros_is_not_clipped(errors):
    _, _, measured = errors
    both = RowErrors.concatenate([measured, measured])
    np.testing.assert_array_equal(both.square, np.tile(measured.square, 2))
    zeros = summarise(np.zeros((2, 5), np.float32))
    unknown = np.full(2, np.inf)
    whole = measure_row_errors(zeros, zeros.rows, np.zeros(2), (unknown, unknown)).over_weight(10)
    assert (whole.clip_ratio, whole.clipped_fraction, whole.mse) == (1, 0, 0)
