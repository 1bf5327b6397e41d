"""Fits of several families: evaluation by row, selection and concatenation of rows, and the report's entries."""

import numpy as np
import pytest
from scipy import stats

from quant.methods.distributions.fit import concatenate_fits
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise

FAMILIES = ("gaussian", "laplace", "student_t")


@pytest.fixture
def fit():
    """A fit whose rows chose different families."""
    drawn = [kind.rvs(size=3000, random_state=1) + 0.2 for kind in (stats.norm(), stats.laplace(), stats.t(3))]
    return select(summarise(np.array(drawn, np.float32)), FAMILIES, "bic")


def test_methods_evaluate_the_chosen_family_of_each_row(fit):
    assert fit.family == FAMILIES
    x = np.array([[-1.0, 0.3], [0.5, 2.0], [0.1, 4.0]])
    for name in ("cdf", "tail", "abs_pdf", "tail_moment"):
        values = getattr(fit, name)(x)
        for row, index in enumerate(fit.chosen):
            alone = fit.candidates[index].fitted.select_rows(np.array([row]))
            np.testing.assert_allclose(values[row], getattr(alone, name)(x[row : row + 1])[0])
    assert fit.partial_moments(x).shape == (3, 3, 2)
    assert fit.abs_quantile(0.1).shape == (3,)


def test_selected_rows_keep_their_families(fit):
    rows = np.array([2, 0])
    part = fit.select_rows(rows)
    assert part.family == ("student_t", "gaussian")
    x = np.array([0.4, 0.4, 0.4])
    np.testing.assert_allclose(part.cdf(x[rows]), fit.cdf(x)[rows])


def test_fits_of_consecutive_rows_are_one_fit(fit):
    whole = concatenate_fits([fit, fit])
    assert whole.family == FAMILIES * 2
    x = np.linspace(-1, 1, 6)
    np.testing.assert_allclose(whole.cdf(x), np.concatenate([fit.cdf(x[:3]), fit.cdf(x[3:])]))
    assert whole.candidates_summary()[0]["rows"] == 6


def test_the_report_names_parameters_and_criteria_of_the_chosen_family(fit):
    entry = fit.describe(2)
    assert entry["family"] == "student_t"
    assert set(entry["parameters"]) == {"location", "scale", "nu"}
    assert entry["aic"] == pytest.approx(6 - 2 * entry["log_likelihood"])
    assert entry["bic"] == pytest.approx(3 * np.log(3000) - 2 * entry["log_likelihood"])
    assert [family["family"] for family in fit.candidates_summary()] == list(FAMILIES)


def test_only_compiled_fits_of_known_families_have_arguments_for_loops(fit):
    assert fit.loop_arguments() is None
    rows = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    code, location, scale, shape = select(summarise(rows, compiled=True), ("gaussian",), "aic").loop_arguments()
    np.testing.assert_array_equal(code, 0)
    assert location.shape == scale.shape == shape.shape == (2,)
