"""The choice of a family: its rates on known distributions, and the Kolmogorov-Smirnov distance."""

import numpy as np
import pytest
from scipy import stats

from quant.methods.distributions import selection
from quant.methods.distributions.selection import ks_distance, ks_interval, select
from quant.methods.distributions.statistics import summarise
from quant.methods.registry import DISTRIBUTIONS

FAMILIES = tuple(DISTRIBUTIONS)
SOURCES = {
    "gaussian": stats.norm(),
    "laplace": stats.laplace(),
    "t4": stats.t(4),
    "ggd1.5": stats.gennorm(1.5),
    "ggd.7": stats.gennorm(0.7),
}
# source, family, weights of a row, criterion, and the share of rows for which the criterion chose the true family
RATES = [
    ("gaussian", "gaussian", 144, "aic", 0.84),
    ("gaussian", "gaussian", 576, "aic", 0.80),
    ("gaussian", "gaussian", 576, "bic", 0.98),
    ("laplace", "laplace", 576, "aic", 0.82),
    ("laplace", "laplace", 576, "bic", 0.97),
    ("t4", "student_t", 144, "aic", 0.55),
    ("t4", "student_t", 576, "aic", 0.92),
    ("ggd1.5", "generalized_gaussian", 2304, "aic", 0.92),
    ("ggd.7", "generalized_gaussian", 576, "aic", 1.00),
]


@pytest.mark.parametrize(("source", "family", "n", "criterion", "rate"), RATES)
def test_the_true_family_is_chosen_at_the_measured_rate(source, family, n, criterion, rate):
    rows = SOURCES[source].rvs((300, n), random_state=5).astype(np.float32)
    chosen = select(summarise(rows), FAMILIES, criterion).family.count(family) / 300
    assert chosen == pytest.approx(rate, abs=0.08)


def test_aic_chooses_a_nested_family_that_the_distance_does_not():
    rows = stats.norm.rvs(size=(200, 576), random_state=1).astype(np.float32)
    fit = select(summarise(rows), FAMILIES, "ks")
    assert fit.family.count("gaussian") / 200 < 0.4
    assert select(summarise(rows), FAMILIES, "aic").family.count("gaussian") / 200 > 0.7


def test_short_rows_get_no_shape_and_say_so():
    rows = stats.t(3).rvs((5, 40), random_state=0).astype(np.float32)
    fit = select(summarise(rows), FAMILIES, "aic")
    assert set(fit.family) <= {"gaussian", "laplace"}
    assert any("fewer than 64" in note for note in fit.notes)


@pytest.mark.parametrize("n", [50, 2000])
def test_the_ks_distance_is_exact_on_the_sample_and_inside_its_interval(n):
    rows = stats.laplace.rvs(size=(4, n), random_state=2).astype(np.float32)
    statistics = summarise(rows)
    fitted = DISTRIBUTIONS["gaussian"].load()().fit(statistics)
    exact = ks_distance(fitted, rows.astype(np.float64))
    lower, upper = ks_interval(fitted, statistics)
    for row in range(4):
        scipys = stats.kstest(
            rows[row].astype(np.float64), "norm", args=(fitted.location[row], fitted.scale[row])
        ).statistic
        assert exact[row] == pytest.approx(scipys, rel=1e-9)
    assert (lower <= exact + 1e-12).all()
    assert (exact <= upper + 1e-12).all()


def test_only_the_criterion_that_is_asked_for_decides():
    rows = stats.t(4).rvs((20, 900), random_state=0).astype(np.float32)
    for criterion in ("aic", "bic", "ks"):
        fit = select(summarise(rows), FAMILIES, criterion)
        values = np.stack([getattr(candidate, criterion) for candidate in fit.candidates])
        np.testing.assert_array_equal(fit.chosen, values.argmin(axis=0))


def test_rows_that_are_fitted_in_parts_have_the_same_fit(monkeypatch):
    statistics = summarise(stats.t(5).rvs((7, 300), random_state=0).astype(np.float32))
    whole = select(statistics, FAMILIES, "bic")
    monkeypatch.setattr(selection, "ROWS_AT_ONCE", 2)
    parts = select(statistics, FAMILIES, "bic")
    assert parts.family == whole.family
    for ours, theirs in zip(parts.candidates, whole.candidates, strict=True):
        np.testing.assert_allclose(ours.log_likelihood, theirs.log_likelihood, rtol=1e-6)


def test_a_family_with_a_shape_is_fitted_to_short_rows_if_there_is_no_other():
    rows = stats.t(3).rvs((2, 40), random_state=0).astype(np.float32)
    assert select(summarise(rows), ("student_t",), "aic").family == ("student_t",) * 2


def test_constant_rows_are_noted():
    rows = np.array([[0.5] * 100, [0.0] * 100, list(range(100))], np.float32)
    assert "2 rows are constant: no distribution fits them" in select(summarise(rows), FAMILIES, "aic").notes
