"""The exact expected error of a quantizer."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.distributions.student_t import FittedStudentT
from quant.methods.grids.codebook import Codebook
from quant.methods.grids.expected_error import expected_error, expected_weight_error
from quant.methods.grids.uniform import Uniform
from quant.pipeline import Inputs, quantize_model
from tests.quant.reference import WIDE, table, unit_fit

TABLE = table("methods/clipping/clip_bounds.txt")


@pytest.mark.parametrize("row", [row for row in TABLE if row[2] == "M"], ids=str)
def test_errors_of_mid_rise_grids_are_those_of_the_table(row):
    family, shape, _, bits, _, mae_bound, mae, mse_bound, mse = row
    half, fit = 2 ** (int(bits) - 1), unit_fit(family, shape)
    for bound, index, expected in ((mae_bound, 0, mae), (mse_bound, 1, mse)):
        if bound is not None:
            positive = bound / half * (np.arange(half) + 0.5)
            book = Codebook.from_levels(np.concatenate([-positive[::-1], positive])[None])
            assert expected_error(fit, book)[index][0] == pytest.approx(expected, rel=2e-6)


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


NODES = np.polynomial.legendre.leggauss(200)
CONDITIONAL = [("gaussian", None), ("laplace", None), ("student_t", 5.0), ("student_t", 2.2),
               ("generalized_gaussian", 0.8), ("generalized_gaussian", 4.0)]  # fmt: skip


def books(bits=3):
    """Grids with levels inside and outside of the condition, even and uneven, fine and coarse."""
    uneven = Codebook.from_levels(np.array([[-2.5, -1.1, -0.2, 0.1, 0.4, 3.0]]))
    return [uneven, *(Uniform().build(WIDE, None, np.array([clip]), bits) for clip in (0.3, 1.7, 6.0))]


@pytest.mark.parametrize("location", [0.0, -0.35])
@pytest.mark.parametrize("largest", [0.4, 1.7, 5.0])
@pytest.mark.parametrize(("family", "shape"), CONDITIONAL)
def test_the_error_under_a_largest_magnitude_is_the_integral_up_to_it(family, shape, largest, location):
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    for book in books():
        mae, mse = expected_error(fit, book, np.array([largest]))
        points = np.clip([-largest, *book.edges[0], *book.levels[0], location, largest], -largest, largest)
        ends = np.unique(points)
        totals = np.zeros(3)
        for low, high in pairwise(ends):
            x, weights = leggauss_on(low, high)
            density = weights * fit.pdf(x[None])[0]
            error = book.levels[0][(x[:, None] > book.edges[0]).sum(axis=1)] - x
            totals += [density.sum(), (density * np.abs(error)).sum(), (density * error**2).sum()]
        tolerance = 1e-5 if family == "generalized_gaussian" and shape < 1 else 1e-9  # the cusp
        np.testing.assert_allclose((mae[0], mse[0]), totals[1:] / totals[0], rtol=tolerance)


def leggauss_on(low, high):
    """Return nodes and weights of Gauss-Legendre quadrature on an interval."""
    nodes, weights = NODES
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


@pytest.mark.parametrize("n", [4, 9, 60, 1000])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_expectation_for_rows_of_n_weights_is_that_of_a_simulation(n, bits):
    drawn = stats.t(3).rvs((300, n), random_state=n).astype(np.float32)
    fit = unit_fit("student_t", 3.0)
    fit = Fit((replace(fit.candidates[0], fitted=FittedStudentT(*np.array([[0.0], [1.0], [3.0]]).repeat(300, 1))),),
              np.zeros(300, np.intp))  # fmt: skip
    statistics = summarise(drawn)
    book = Uniform().build(statistics, fit, statistics.max_abs, bits)
    error = book.decode(book.encode(drawn)).astype(np.float64) - drawn
    for expected, measured in zip(expected_weight_error(statistics, fit, book), (abs(error), error**2), strict=True):
        difference = measured.mean(axis=1) - expected
        assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(drawn))
        assert expected.mean() == pytest.approx(measured.mean(), rel=0.1)


def test_zeros_and_the_largest_weight_count_with_their_own_errors():
    rows = np.array([[0, 0, 0, 2], [0, 0, 0, 0], [0, 0, -1, 0.5]], np.float32)
    statistics = summarise(rows)
    fit = select(statistics, ("laplace",), "aic")
    book = Codebook.from_levels(np.array([[-1.0, 0.25, 1.5]]).repeat(3, 0))
    mae, mse = expected_weight_error(statistics, fit, book)
    assert mae[0] == pytest.approx((3 * 0.25 + 0.5) / 4)
    assert mse[1] == pytest.approx(0.25**2)
    within = expected_error(fit, book, statistics.unit)[0][2]
    density = fit.pdf(np.array([[0, 0], [0, 0], [-1.0, 1.0]]))[2]
    largest = (0 * density[0] + 0.5 * density[1]) / density.sum()
    assert mae[2] == pytest.approx((2 * 0.25 + largest + within) / 4)


def test_a_stem_with_few_weights_a_row_has_the_expected_error_that_is_measured(examples, tmp_path):
    quantize_model(Inputs(examples / "digits.onnx", "m.onnx", {"preset": "int8-weights"}), tmp_path, lambda *_: None)
    for layer in json.loads((tmp_path / "report.json").read_text())["layers"]:
        for figure in ("mae", "mse"):
            assert layer["weight"][f"{figure}_expected"] == pytest.approx(layer["weight"][figure], rel=0.3)
