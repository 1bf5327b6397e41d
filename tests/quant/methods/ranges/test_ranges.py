"""The laws that every range rule obeys."""

from typing import get_args

import numpy as np
import pytest

from quant.calibration.activation_ranges import ActivationRange
from quant.methods.registry import RangeRule
from tests.quant.methods.ranges.observations import observed

RULES = [rule() for rule in get_args(RangeRule)]
RNG = np.random.default_rng(0)
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@named
@pytest.mark.parametrize("shift", [0, 3])
def test_the_range_holds_zero_and_never_exceeds_the_extremes(rule, shift):
    values = RNG.normal(shift, 1, size=(8, 5000))
    lower, upper = rule.range(observed(rule, *values), 256)
    assert min(0, values.min()) - 1e-6 <= lower <= 0 <= upper <= values.max() + 1e-6


@named
def test_a_relu_output_keeps_zero_at_the_lower_end(rule):
    values = np.maximum(RNG.normal(size=(8, 5000)), 0)
    assert rule.range(observed(rule, *values), 256)[0] == 0


@named
@pytest.mark.parametrize("values", [np.zeros(10), np.ones(10), np.array([-2.0]), np.array([1e-30, 1e30])])
def test_degenerate_tensors_give_a_finite_range(rule, values):
    ends = rule.range(observed(rule, values), 256)
    assert np.isfinite(ends).all()
    assert np.isfinite(ActivationRange(*ends).scale)


@named
def test_a_rule_is_deterministic_and_round_trips_through_json(rule):
    values = RNG.normal(size=(4, 3000))
    seen = observed(rule, *values)
    assert rule.range(seen, 256) == rule.range(observed(rule, *values), 256)
    assert type(rule).model_validate_json(rule.model_dump_json()) == rule
