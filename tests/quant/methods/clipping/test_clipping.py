"""Clip bounds and expected errors: the reference values, simulation, and the laws that every rule obeys."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quant.methods.clipping.empirical import histogram_error, measured_error
from quant.methods.clipping.mae import Mae
from quant.methods.clipping.mse import Mse
from quant.methods.clipping.percentile import Percentile
from quant.methods.clipping.support_region import support
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.codebook import Codebook
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import DISTRIBUTIONS, ClipRule
from tests.quant.reference import WIDE, table, unit_fit

RULES = [rule() for rule in get_args(ClipRule)]
TABLE = table("methods/clipping/clip_bounds.txt")
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def sample(family, rows=1, n=4000, scale=1.0, seed=0):
    drawn = {"gaussian": stats.norm, "laplace": stats.laplace}[family].rvs(
        size=(rows, n), scale=scale, random_state=seed
    )
    return drawn.astype(np.float32)


def fitted(rows):
    statistics = summarise(rows)
    return statistics, select(statistics, tuple(DISTRIBUTIONS), "aic")


@pytest.mark.parametrize("row", [row for row in TABLE if row[2] == "N"], ids=str)
def test_bounds_and_errors_are_those_of_the_table(row):
    family, shape, _, bits, quantile, mae_bound, mae, mse_bound, mse = row
    bits, fit = int(bits), unit_fit(family, shape)
    assert fit.abs_quantile(1 / (4 * (2 ** (bits - 1) - 1)))[0] == pytest.approx(quantile, rel=3e-7)
    found = Mae().bound(WIDE, fit, bits)
    assert found[0] == pytest.approx(mae_bound, rel=3e-7)
    assert expected_error(fit, Uniform().build(WIDE, fit, found, bits))[0][0] == pytest.approx(mae, rel=1e-6)
    found = Mse().bound(WIDE, fit, bits)
    if mse_bound is None:  # an infinite variance has no best bound
        assert found[0] == WIDE.max_abs[0]
        return
    assert found[0] == pytest.approx(mse_bound, rel=3e-7)
    assert expected_error(fit, Uniform().build(WIDE, fit, found, bits))[1][0] == pytest.approx(mse, rel=1e-6)


@pytest.mark.parametrize("row", [row for row in TABLE if row[2] == "M"], ids=str)
def test_errors_of_mid_rise_grids_are_those_of_the_table(row):
    family, shape, _, bits, _, mae_bound, mae, mse_bound, mse = row
    half, fit = 2 ** (int(bits) - 1), unit_fit(family, shape)
    for bound, index, expected in ((mae_bound, 0, mae), (mse_bound, 1, mse)):
        if bound is not None:
            positive = bound / half * (np.arange(half) + 0.5)
            book = Codebook.from_levels(np.concatenate([-positive[::-1], positive])[None])
            assert expected_error(fit, book)[index][0] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize(
    ("bits", "bound"), [(2, 2.1747854), (3, 2.9237327), (4, 3.6879629), (5, 4.4798168), (8, 7.0200753)]
)
def test_the_support_region_is_the_published_one(bits, bound):
    assert support(bits) / np.sqrt(2) == pytest.approx(bound, rel=1e-7)  # published for unit variance


@pytest.mark.parametrize("location", [0.0, 0.3])
@pytest.mark.parametrize(
    ("family", "shape"), [("gaussian", None), ("laplace", None), ("student_t", 5.0), ("generalized_gaussian", 0.8)]
)
def test_expected_error_is_that_of_a_simulation(family, shape, location):
    kinds = {"student_t": stats.t(5), "generalized_gaussian": stats.gennorm(0.8), "laplace": stats.laplace()}
    frozen = kinds.get(family, stats.norm())
    drawn = (frozen.rvs(400_000, random_state=1) + location).astype(np.float32)
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    book = Uniform().build(WIDE, fit, np.array([2.0]), 4)
    error = book.decode(book.encode(drawn[None])).astype(np.float64)[0] - drawn
    for expected, measured in zip(expected_error(fit, book), (np.abs(error), error**2), strict=True):
        assert abs(expected[0] - measured.mean()) < 4 * measured.std() / np.sqrt(measured.size)


@named
@pytest.mark.parametrize("bits", [2, 4, 8])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), n=st.sampled_from([3, 9, 64, 700]), octaves=st.integers(-20, 12))
def test_clip_bound_never_exceeds_largest_weight_and_scales_with_the_weights(rule, bits, seed, n, octaves):
    rows = sample("laplace", rows=3, n=n, seed=seed)
    statistics, fit = fitted(rows)
    bound = rule.bound(statistics, fit, bits)
    assert (bound <= statistics.max_abs).all()
    assert (bound > 0).all()
    factor = np.float32(2.0**octaves)  # a power of two: no rounding
    np.testing.assert_allclose(rule.bound(*fitted(rows * factor), bits), bound * factor, rtol=2e-3)


@named
@pytest.mark.parametrize("row", [[0.0] * 8, [0.25] * 8, [0.0] * 7 + [-3.0], [1e-38] * 4 + [3e38] * 4])
def test_degenerate_rows_are_finite_and_deterministic(rule, row):
    rows = np.array([row], np.float32)
    statistics, fit = fitted(rows)
    bound = rule.bound(statistics, fit, 8)
    np.testing.assert_array_equal(bound, rule.bound(*fitted(rows), 8))
    book = Uniform().build(statistics, fit, bound, 8)
    assert np.isfinite(bound).all()
    assert np.isfinite(book.scale).all()
    assert not np.isnan(np.concatenate(expected_error(fit, book))).any()
    if not rows.any():
        assert bound == 0
        np.testing.assert_array_equal(book.decode(book.encode(rows)), rows)


@named
def test_error_falls_as_bits_rise(rule):
    rows = sample("gaussian", n=3000)
    statistics, fit = fitted(rows)
    errors = []
    for bits in (2, 3, 4, 6, 8):
        book = Uniform().build(statistics, fit, rule.bound(statistics, fit, bits), bits)
        errors.append(float(np.mean((book.decode(book.encode(rows)) - rows) ** 2)))
    assert errors == sorted(errors, reverse=True)


@named
def test_a_rule_round_trips_through_json_and_describes_itself(rule):
    assert type(rule).model_validate_json(rule.model_dump_json()) == rule
    assert type(rule).__doc__


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("family", ["gaussian", "laplace"])
def test_the_histograms_error_is_the_weights_own(family, bits):
    rows = sample(family, rows=4, n=5000)
    statistics, fit = fitted(rows)
    bounds = statistics.max_abs[:, None] * np.array([0.3, 0.5, 0.8, 1.0])
    mae, mse = histogram_error(statistics, bounds, bits)
    for column, bound in enumerate(bounds.T):
        book = Uniform().build(statistics, fit, bound, bits)
        error = book.decode(book.encode(rows)).astype(np.float64) - rows
        np.testing.assert_allclose(mae[:, column], np.abs(error).mean(1), rtol=0.04)
        # at 8 bits one outlier in a wide bin makes much of the squared error
        np.testing.assert_allclose(mse[:, column], (error**2).mean(1), rtol=0.2 if bits == 8 else 0.06)


@pytest.mark.parametrize("n", [40, 600, 5000])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_empirical_bound_is_as_good_as_an_exhaustive_search(n, bits):
    rows = sample("laplace", rows=20, n=n)
    statistics, fit = fitted(rows)

    def error(bound):
        book = Uniform().build(statistics, fit, bound, bits)
        return ((book.decode(book.encode(rows)) - rows) ** 2).mean(1)

    best = np.min([error(statistics.max_abs * ratio) for ratio in np.linspace(0.1, 1, 400)], axis=0)
    found = next(rule for rule in RULES if rule.name == "empirical_mse").bound(statistics, fit, bits)
    assert np.mean(error(found) / best) < 1.05


def test_auto_is_no_worse_than_any_of_its_candidates():
    for n in (27, 800):
        statistics, fit = fitted(np.concatenate([sample("laplace", 10, n), sample("gaussian", 10, n)]))
        for bits in (4, 8):
            errors = {
                rule.name: measured_error(statistics, rule.bound(statistics, fit, bits), bits)[1] for rule in RULES
            }
            for name in ("minmax", "mse", "empirical_mse"):
                assert (errors["auto"] <= errors[name]).all()


@pytest.mark.parametrize("q", [90.0, 99.0, 99.9])
def test_a_percentile_is_numpys(q):
    rows = sample("laplace", rows=3, n=20_000)
    expected = np.percentile(np.abs(rows), q, axis=1)
    np.testing.assert_allclose(Percentile(q=q).bound(*fitted(rows), 8), expected, rtol=0.02)
