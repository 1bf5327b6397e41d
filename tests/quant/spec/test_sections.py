"""Sections refuse options that do not go together, and say what would be accepted."""

import pytest

from quant.errors import SpecError
from quant.spec import Budget, resolve


@pytest.mark.parametrize(("weights", "message"), [
    ({"bits": 8, "grid": "kmeans"}, "kmeans has no 8-bit grid; accepted: 2, 3, 4, 5 bits"),
    ({"bits": 6, "grid": "mid_rise"}, "mid_rise has no 6-bit grid; accepted: 2, 3, 4 bits"),
    ({"granularity": "block", "bits": 4, "grid": "kmeans"}, "accepted with granularity block: uniform"),
    ({"distributions": ["cauchy"]}, "unknown: cauchy; accepted: gaussian, laplace, student_t, generalized_gaussian"),
    ({"distributions": ["laplace", "laplace"]}, "a family is named twice"),
    ({"granularity": "block", "scale": "power_of_two"}, "blocks have scales of any size"),
])  # fmt: skip
def test_weights_that_cannot_be_stored_are_refused(weights, message):
    with pytest.raises(SpecError, match=message):
        resolve({"preset": "int8-weights", "weights": weights})


def test_two_inputs_of_a_module_have_two_names():
    with pytest.raises(SpecError, match="two inputs have the same name"):
        resolve({"torchscript": {"inputs": [{"name": "x", "shape": [1]}, {"name": "x", "shape": [2]}]}})


@pytest.mark.parametrize("budget", [{}, {"max_bytes": 1, "max_size_ratio": 0.5}])
def test_a_budget_is_one_limit(budget):
    with pytest.raises(SpecError, match="a budget is one limit"):
        resolve({"budget": budget})


def test_a_budget_is_in_bytes_or_a_fraction_of_the_float_model():
    assert Budget(max_bytes=700).limit(10_000) == 700
    assert Budget(max_size_ratio=0.25).limit(10_002) == 2500


@pytest.mark.parametrize("seconds", [0, -1, "soon"])
def test_a_time_limit_is_a_positive_number_of_seconds(seconds):
    with pytest.raises(SpecError, match="/limits/seconds"):
        resolve({"limits": {"seconds": seconds}})
    assert resolve({"limits": {"seconds": 0.5}}).limits.seconds == 0.5
    assert resolve({}).limits.seconds is None
