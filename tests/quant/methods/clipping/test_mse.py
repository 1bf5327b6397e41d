"""The bound of least expected squared error."""

import pytest

from quant.methods.clipping.mse import Mse
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.mid_rise import MidRise
from quant.methods.grids.uniform import Uniform
from tests.quant.methods.samples import fitted, sample
from tests.quant.reference import WIDE, table, unit_fit


@pytest.mark.parametrize("row", [row for row in table("methods/clipping/clip_bounds.txt") if row[2] == "N"], ids=str)
def test_bounds_and_errors_are_those_of_the_table(row):
    family, shape, _, bits, _, _, _, bound, error = row
    bits, fit = int(bits), unit_fit(family, shape)
    clip = Mse().bound(WIDE, fit, bits)
    if bound is None:  # an infinite variance has no best bound
        assert clip[0] == WIDE.max_abs[0]
        return
    assert clip[0] == pytest.approx(bound, rel=3e-7)
    assert expected_error(fit, Uniform().build(WIDE, fit, clip, bits))[1][0] == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("row", [row for row in table("methods/clipping/clip_bounds.txt") if row[2] == "M"], ids=str)
def test_bounds_and_errors_of_mid_rise_grids_are_those_of_the_table(row):
    family, shape, _, bits, _, _, _, bound, error = row
    bits, fit = int(bits), unit_fit(family, shape)
    clip = Mse().bound(WIDE, fit, bits, mid_rise=True)
    if bound is None:  # an infinite variance has no best bound
        assert clip[0] == WIDE.max_abs[0]
        return
    assert clip[0] == pytest.approx(bound * (1 - 2.0**-bits), rel=3e-7)  # the table's bound ends the outermost cell
    book = MidRise().build(WIDE, fit, clip, bits)
    assert expected_error(fit, book)[1][0] == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize(
    ("grid", "bits"), [(Uniform(), 2), (Uniform(), 4), (Uniform(), 8), (MidRise(), 2), (MidRise(), 4)]
)
def test_no_bound_nearby_has_a_smaller_expected_error(grid, bits):
    statistics, fit = fitted(sample("laplace", rows=3))
    clip = Mse().bound(statistics, fit, bits, mid_rise=grid.mid_rise)
    errors = [expected_error(fit, grid.build(statistics, fit, clip * f, bits))[1] for f in (0.97, 1, 1.03)]
    inside = clip < statistics.max_abs
    assert (errors[1] <= errors[0] * (1 + 1e-9)).all()
    assert (errors[1] <= errors[2] * (1 + 1e-9))[inside].all()
