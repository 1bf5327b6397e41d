"""The laws that every family obeys, with scipy as the reference."""

import numpy as np
import pytest
from scipy import integrate, stats

from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.registry import DISTRIBUTIONS
from tests.quant.reference import unit_fit

SCIPY = {"gaussian": stats.norm, "laplace": stats.laplace, "student_t": stats.t, "generalized_gaussian": stats.gennorm}
UNIT = [
    ("gaussian", None), ("laplace", None), ("student_t", 1.5), ("student_t", 3.0), ("student_t", 10.0),
    ("generalized_gaussian", 0.5), ("generalized_gaussian", 1.5), ("generalized_gaussian", 4.0),
]  # fmt: skip
SOURCES = {
    "gaussian": stats.norm(),
    "laplace": stats.laplace(),
    "t4": stats.t(4),
    "ggd1.5": stats.gennorm(1.5),
    "ggd.7": stats.gennorm(0.7),
}


def frozen(family, shape):
    return SCIPY[family]() if shape is None else SCIPY[family](shape)


@pytest.mark.parametrize(("family", "shape"), UNIT)
def test_density_tails_and_quantiles_are_scipys(family, shape):
    fitted, reference = unit_fit(family, shape).candidates[0].fitted, frozen(family, shape)
    x = np.array([[-6.0, -1.2, -0.3, 0.0, 0.3, 1.2, 6.0]])
    np.testing.assert_allclose(fitted.pdf(x), reference.pdf(x), rtol=1e-10)
    np.testing.assert_allclose(fitted.cdf(x), reference.cdf(x), rtol=1e-9)
    np.testing.assert_allclose(fitted.sf(x), reference.sf(x), rtol=1e-9)
    tails = np.array([0.4, 0.1, 1e-3, 1e-6])
    parameter = np.full(4, shape if shape else 1.0)
    np.testing.assert_allclose(fitted.unit_isf(tails, parameter), reference.isf(tails), rtol=1e-7)


@pytest.mark.parametrize(("family", "shape"), UNIT)
@pytest.mark.parametrize("x", [-1.5, 0.0, 0.7, 3.0])
def test_partial_moments_are_those_of_quadrature(family, shape, x):
    density = frozen(family, shape).pdf
    tail, first, second = unit_fit(family, shape).partial_moments(np.array([x]))

    def moment(power):
        pieces = [(x, 0), (0, 5)] if x < 0 else [(x, x + 5)]
        tail_start = pieces[-1][1]
        inner = sum(integrate.quad(lambda t: t**power * density(t), a, b, limit=200)[0] for a, b in pieces)
        return inner + integrate.quad(lambda t: t**power * density(t), tail_start, np.inf, limit=400)[0]

    assert tail[0] == pytest.approx(moment(0), rel=1e-6)
    assert first[0] == pytest.approx(moment(1), rel=1e-4)
    if family == "student_t" and shape <= 2:
        assert not np.isfinite(second[0])
    else:
        assert second[0] == pytest.approx(moment(2), rel=1e-4)


@pytest.mark.parametrize("family", SCIPY)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("n", [64, 576, 4608])
@pytest.mark.parametrize("compiled", [False, True])
def test_log_likelihood_is_never_below_scipys_by_more_than_a_thousandth_of_a_nat(family, source, n, compiled):
    seed = np.random.default_rng([n, len(source)])
    rows = (SOURCES[source].rvs((3, n), random_state=seed) * 0.05 + 0.005).astype(np.float32)
    fitted = DISTRIBUTIONS[family].load()().fit(summarise(rows, compiled))
    for row, weights in enumerate(rows.astype(np.float64)):
        ours = np.log(fitted.pdf(np.broadcast_to(weights, rows.shape))[row]).mean()
        best = SCIPY[family].logpdf(weights, *SCIPY[family].fit(weights)).mean()
        assert ours >= best - 1e-3


@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_fits_are_batched_row_by_row_and_scale_with_the_weights(family):
    rows = (stats.t(5).rvs((6, 900), random_state=3)).astype(np.float32)
    kind = DISTRIBUTIONS[family].load()()
    together = kind.fit(summarise(rows))
    scaled = kind.fit(summarise(rows * np.float32(0.25)))
    for row in range(6):
        alone = kind.fit(summarise(rows[row : row + 1]))
        assert together.scale[row] == pytest.approx(alone.scale[0], rel=1e-3)
    np.testing.assert_allclose(scaled.scale, together.scale / 4, rtol=1e-5)


@pytest.mark.parametrize("family", DISTRIBUTIONS)
@pytest.mark.parametrize(
    "row", [[0.0] * 70, [0.5] * 70, [0.0] * 69 + [2.0], [-1.0, 1.0] * 35, [1e-38] * 35 + [3e38] * 35]
)
def test_degenerate_rows_give_finite_fits(family, row):
    statistics = summarise(np.array([row], np.float32))
    fit = select(statistics, (family,), "aic")
    entry = fit.describe(0)
    assert all(np.isfinite(value) for value in entry["parameters"].values())
    assert entry["parameters"]["scale"] > 0


@pytest.mark.parametrize(("family", "shape"), UNIT)
def test_companding_quantiles_have_these_tails_under_the_cube_root_of_the_density(family, shape):
    if family == "student_t" and shape <= 3:
        pytest.skip("the cube root of the density has no finite integral, or the limit of its shape applies")
    fitted, density = unit_fit(family, shape).candidates[0].fitted, frozen(family, shape).pdf
    tails = np.array([[0.45, 0.25, 0.02]])

    def mass(x):
        return (
            integrate.quad(lambda t: density(t) ** (1 / 3), x, x + 20)[0]
            + integrate.quad(lambda t: density(t) ** (1 / 3), x + 20, np.inf)[0]
        )

    total = 2 * mass(0)
    for tail, x in zip(tails[0], fitted.companding_quantiles(tails)[0], strict=True):
        assert mass(x) / total == pytest.approx(tail, rel=1e-5)


@pytest.mark.parametrize("family", DISTRIBUTIONS)
def test_the_registry_describes_a_family_by_its_first_line(family):
    entry = DISTRIBUTIONS[family]
    kind = entry.load()
    assert kind().name == family
    assert entry.description == kind.__doc__.split("\n")[0]
    assert entry.shaped == (kind().fit(summarise(np.ones((1, 70), np.float32))).shape is not None)
