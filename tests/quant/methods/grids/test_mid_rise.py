"""The grid of equally spaced levels on both sides of zero, against numerical integration."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from quant.methods.clipping.mae import Mae
from quant.methods.clipping.mse import Mse
from quant.methods.clipping.support_region import SupportRegion, support
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.mid_rise import MidRise
from tests.quant.methods.samples import fitted
from tests.quant.reference import WIDE, unit_fit

UNITS = [("gaussian", None, stats.norm()), ("laplace", None, stats.laplace()), ("student_t", 5.0, stats.t(5)),
         ("generalized_gaussian", 0.8, stats.gennorm(0.8)),
         ("generalized_gaussian", 4.0, stats.gennorm(4))]  # fmt: skip
units = pytest.mark.parametrize(("family", "shape", "unit"), UNITS)


def integrated(unit, bits, outermost, power):
    """Return E|X - Q(X)|^power of the unit distribution by quadrature over the cells of its positive levels."""
    levels = np.arange(1, 2**bits, 2) * (outermost / (2**bits - 1))
    edges = [0.0, *(levels[1:] + levels[:-1]) / 2, np.inf]
    total = 0.0
    for level, low, high in zip(levels, edges[:-1], edges[1:], strict=True):
        for ends in ((low, level), (level, high)):
            part = integrate.quad(lambda x: abs(x - level) ** power * unit.pdf(x), *ends, epsabs=1e-13, epsrel=1e-11)  # noqa: B023
            total += 2 * part[0]
    return total


@pytest.mark.parametrize("bits", MidRise.widths)
def test_the_levels_are_odd_multiples_of_half_their_distance(bits):
    book = MidRise().build(None, None, np.array([3.0, 0.5]), bits)
    assert book.levels.shape == (2, 2**bits)
    np.testing.assert_allclose(book.levels / book.scale[:, None], np.arange(1 - 2**bits, 2**bits, 2)[None].repeat(2, 0))
    np.testing.assert_allclose(book.levels[:, -1], [3.0, 0.5], rtol=1e-6)
    codes = book.encode(np.array([[0.0, -1e-9, 9.0, -9.0]] * 2, np.float32))
    np.testing.assert_array_equal(codes, [[1, -1, 2**bits - 1, 1 - 2**bits]] * 2)


@units
@pytest.mark.parametrize("bits", [2, 3])
def test_the_expected_errors_are_those_of_integration(family, shape, unit, bits):
    book = MidRise().build(WIDE, unit_fit(family, shape), np.array([1.75]), bits)
    for power, error in enumerate(expected_error(unit_fit(family, shape), book), 1):
        assert error[0] == pytest.approx(integrated(unit, bits, float(book.levels[0, -1]), power), rel=1e-9)


@units
@pytest.mark.parametrize(("rule", "power"), [(Mae(), 1), (Mse(), 2)], ids=["mae", "mse"])
def test_the_bounds_of_four_levels_have_the_least_error_of_all(family, shape, unit, rule, power):
    bound = rule.bound(WIDE, unit_fit(family, shape), 2, mid_rise=True)[0]
    best = optimize.minimize_scalar(
        lambda outermost: integrated(unit, 2, outermost, power), bounds=(bound / 3, 3 * bound), method="bounded",
        options={"xatol": 1e-7},
    )  # fmt: skip
    assert integrated(unit, 2, bound, power) <= best.fun * (1 + 1e-11)
    assert bound == pytest.approx(best.x, rel=1e-4)


@pytest.mark.parametrize("bits", MidRise.widths)
def test_the_support_region_is_the_bound_of_least_squared_error_of_the_laplacian(bits):
    bound = Mse().bound(WIDE, unit_fit("laplace"), bits, mid_rise=True)[0]
    assert bound == pytest.approx(support(bits) * (1 - 2.0**-bits), rel=1e-8)
    assert bits != 2 or bound == pytest.approx(3.0756109777 * 3 / 4, rel=1e-9)  # Peric et al., 2021
    rows = stats.laplace.rvs(size=(1, 50_000), random_state=0).astype(np.float32)
    rule = SupportRegion().bound(*fitted(rows), bits, mid_rise=True)
    assert rule[0] == pytest.approx(bound * np.abs(rows).mean(), rel=1e-5)


def test_a_row_of_zeros_stays_near_zero():
    rows = np.array([[0.0] * 8, [0.25, -1.0] * 4], np.float32)
    statistics = summarise(rows)
    book = MidRise().build(statistics, None, statistics.max_abs, 2)
    decoded = book.decode(book.encode(rows))
    assert 0 < np.abs(decoded[0]).max() <= 1e-6 * np.abs(decoded[1]).max()
    assert (MidRise().build(statistics, None, np.zeros(2), 2).scale > 0).all()
