"""The laws that every clip rule obeys."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import ClipRule
from tests.quant.methods.samples import fitted, sample

RULES = [rule() for rule in get_args(ClipRule)]
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


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


@named
def test_a_rule_that_clips_nothing_says_so(rule):
    statistics, fit = fitted(sample("laplace", rows=3, n=3000))
    clipped = rule.bound(statistics, fit, 2) < statistics.max_abs
    assert clipped.any() == rule.clips


@named
def test_the_bound_of_a_row_depends_on_the_other_rows_only_where_the_rule_says_so(rule):
    rows = sample("laplace", rows=3, n=700)
    rows[1] *= np.float32(4)
    together = rule.bound(*fitted(rows), 4)
    alone = np.concatenate([rule.bound(*fitted(row[None]), 4) for row in rows])
    assert np.allclose(together, alone, rtol=0.02) == rule.by_row
