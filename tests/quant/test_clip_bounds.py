"""Clip bounds and expected errors against the reference values of the mathematics (narrow-range grid)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quant.clipping.mae import Mae
from quant.clipping.minmax import MinMax
from quant.clipping.mse import Mse
from quant.expected_error import expected_error
from quant.grids.uniform import Uniform
from quant.selection import select
from quant.statistics import summarise

# family, bits, bound of least MAE, its MAE, bound of least MSE, its MSE; unit scale
TABLE = [
    ("gaussian", 2, 1.0290964, 0.33970676, 1.2240064, 0.19017404),
    ("gaussian", 3, 1.6270989, 0.16541054, 1.9523091, 0.046859974),
    ("gaussian", 4, 2.0384635, 0.085116006, 2.4738792, 0.012889386),
    ("gaussian", 8, 3.0894000, 0.006624683, 3.9205009, 8.8308031e-05),
    ("laplace", 2, 1.3862944, 0.5, 2.0, 0.52848224),
    ("laplace", 3, 2.3998926, 0.27018779, 3.4864008, 0.16617304),
    ("laplace", 4, 3.2615709, 0.14984426, 4.8199152, 0.054790444),
    ("laplace", 8, 6.2203023, 0.014208372, 9.8826519, 0.00060660341),
]
SCIPY = {"gaussian": stats.norm, "laplace": stats.laplace}
RULES = [MinMax(), Mae(), Mse()]


def sample(family, rows=1, n=4000, scale=1.0, seed=0):
    drawn = SCIPY[family].rvs(size=(rows, n), scale=scale, random_state=seed)
    return drawn.astype(np.float32)


def fitted(rows, families=("gaussian", "laplace"), criterion="aic"):
    statistics = summarise(rows)
    return statistics, select(statistics, families, criterion)


@pytest.fixture(params=["gaussian", "laplace"])
def unit(request):
    """The unit distribution itself, in place of one fitted to a sample; its largest value is out of the way."""
    from quant.distributions.gaussian import FittedGaussian
    from quant.distributions.laplace import FittedLaplace
    from quant.fit import Candidate, Fit

    zero, one = np.zeros(1), np.ones(1)
    kind = {"gaussian": FittedGaussian, "laplace": FittedLaplace}[request.param]
    fit = Fit((Candidate(kind(zero, one), zero, zero, zero, zero),), np.zeros(1, np.intp))
    return request.param, summarise(np.array([[1e6, 1.0]], np.float32)), fit


def test_bounds_and_errors_are_those_of_the_table(unit):
    family, statistics, fit = unit
    for name, bits, mae_bound, mae, mse_bound, mse in TABLE:
        if name != family:
            continue
        for rule, bound, index, error in ((Mae(), mae_bound, 0, mae), (Mse(), mse_bound, 1, mse)):
            found = rule.bound(statistics, fit, bits)
            assert found[0] == pytest.approx(bound, rel=2e-7)
            book = Uniform().build(statistics, fit, found, bits)
            assert expected_error(fit, book)[index][0] == pytest.approx(error, rel=2e-6)


@pytest.mark.parametrize("family", SCIPY)
@pytest.mark.parametrize("location", [0.0, 0.3])
def test_expected_error_is_that_of_a_simulation(family, location):
    _, fit = fitted(sample(family) + np.float32(location), (family,))
    rows = np.full((1, 2), 2.0, np.float32)
    book = Uniform().build(summarise(rows), fit, np.array([2.0]), 4)
    chosen = fit.describe(0)["parameters"]
    drawn = SCIPY[family].rvs(chosen["location"], chosen["scale"], size=400_000, random_state=1).astype(np.float32)
    error = book.decode(book.encode(drawn[None])).astype(np.float64)[0] - drawn
    for expected, measured in zip(expected_error(fit, book), (np.abs(error), error**2), strict=True):
        spread = measured.std() / np.sqrt(measured.size)
        assert abs(expected[0] - measured.mean()) < 4 * spread


@pytest.mark.parametrize("family", SCIPY)
def test_a_fit_is_scipys(family):
    rows = sample(family, n=5000) * 0.05 + np.float32(0.01)
    _, fit = fitted(rows, (family,))
    location, scale = SCIPY[family].fit(rows[0].astype(np.float64))
    found = fit.describe(0)
    assert found["parameters"]["location"] == pytest.approx(location, abs=2e-3 * scale)
    assert found["parameters"]["scale"] == pytest.approx(scale, rel=1e-3)
    best = SCIPY[family].logpdf(rows[0], location, scale).mean()
    assert found["log_likelihood"] / rows.size == pytest.approx(best, abs=1e-3)
    exact = stats.kstest(rows[0], SCIPY[family].cdf, args=tuple(found["parameters"].values())).statistic
    assert found["ks"] <= exact + 1e-9
    assert found["ks"] == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("family", SCIPY)
@pytest.mark.parametrize("criterion", ["aic", "bic", "ks"])
def test_the_family_of_the_sample_is_chosen(family, criterion):
    _, fit = fitted(sample(family, rows=50, n=2000), criterion=criterion)
    assert fit.family.count(family) >= 49


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("bits", [4, 8])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), n=st.sampled_from([3, 9, 64, 700]), scale=st.floats(1e-6, 1e4))
def test_clip_bound_never_exceeds_largest_weight_and_scales_with_the_weights(rule, bits, seed, n, scale):
    rows = sample("laplace", rows=3, n=n, seed=seed)
    statistics, fit = fitted(rows)
    bound = rule.bound(statistics, fit, bits)
    assert (bound <= statistics.max_abs).all()
    assert (bound > 0).all()
    factor = np.float32(2.0 ** np.round(np.log2(scale)))  # a power of two: no rounding
    np.testing.assert_allclose(rule.bound(*fitted(rows * factor), bits), bound * factor, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("row", [[0.0] * 8, [0.25] * 8, [0.0] * 7 + [-3.0], [1e-38] * 4 + [3e38] * 4])
def test_degenerate_rows_are_finite_and_constants_exact(rule, row):
    rows = np.array([row], np.float32)
    statistics, fit = fitted(rows)
    bound = rule.bound(statistics, fit, 8)
    book = Uniform().build(statistics, fit, bound, 8)
    assert np.isfinite(bound).all()
    assert np.isfinite(np.concatenate(expected_error(fit, book))).all()
    assert np.isfinite(book.scale).all()
    if len(set(row)) == 1 and rule.name == "minmax":
        np.testing.assert_allclose(book.decode(book.encode(rows)), rows, rtol=1e-6)


def test_error_falls_as_bits_rise():
    rows = sample("gaussian", n=3000)
    statistics, fit = fitted(rows)
    for rule in RULES:
        errors = []
        for bits in (2, 3, 4, 6, 8):
            book = Uniform().build(statistics, fit, rule.bound(statistics, fit, bits), bits)
            errors.append(float(np.mean((book.decode(book.encode(rows)) - rows) ** 2)))
        assert errors == sorted(errors, reverse=True)


def test_encoding_is_to_the_nearest_level():
    rows = sample("gaussian", rows=4, n=500)
    statistics, fit = fitted(rows)
    book = Uniform().build(statistics, fit, statistics.max_abs * 0.7, 4)
    nearest = np.abs(rows[:, :, None] - book.levels[:, None]).argmin(axis=2) - book.qmax
    np.testing.assert_array_equal(book.encode(rows), nearest)
