"""The ternary grids against their published values."""

from typing import get_args

import numpy as np
import pytest
from scipy import stats

from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.ternary import TernaryBase, TernaryTwn
from quant.methods.registry import Grid
from tests.quant.methods.samples import fitted
from tests.quant.reference import WIDE, table, unit_fit

GRIDS = {kind.model_fields["name"].default: kind() for kind in get_args(Grid) if issubclass(kind, TernaryBase)}


@pytest.mark.parametrize("row", [row for row in table("methods/grids/ternary.txt") if row[2] != "ternary_twn"], ids=str)
def test_ternary_grids_are_the_published_ones(row):
    family, shape, name, threshold, level, mae, mse, largest = row
    fit = unit_fit(family, shape)
    clip = np.array([largest]) if name == "ternary_tquant" else WIDE.max_abs
    book = GRIDS[name].build(WIDE, fit, clip, 2)
    assert book.edges[0, 1] == pytest.approx(threshold, rel=2e-4 if name == "ternary_tquant" else 1e-6)
    assert book.levels[0, 2] == pytest.approx(level, rel=2e-4 if name == "ternary_tquant" else 1e-6)
    error = expected_error(fit, book)
    assert error[0][0] == pytest.approx(mae, rel=1e-3 if name == "ternary_tquant" else 1e-6)
    assert error[1][0] == pytest.approx(mse, rel=1e-3 if name == "ternary_tquant" else 1e-6)


@pytest.mark.parametrize(("family", "threshold", "level"), [("norm", 0.5585192, 1.1841607), ("laplace", 0.7, 1.7)])
def test_twn_comes_to_its_published_values_on_a_large_sample(family, threshold, level):
    rows = getattr(stats, family).rvs(size=(1, 400_000), random_state=0).astype(np.float32)
    book = TernaryTwn().build(*fitted(rows), np.array([1.0]), 2)
    assert book.edges[0, 1] == pytest.approx(threshold, rel=0.01)
    assert book.levels[0, 2] == pytest.approx(level, rel=0.01)
