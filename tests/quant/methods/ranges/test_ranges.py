"""Activation ranges: every rule on what calibration saw of a tensor."""

from typing import get_args

import numpy as np
import pytest

from quant.calibration.activation_ranges import ActivationRange, _Seen
from quant.calibration.histogram import HALF, SLAB, Histogram
from quant.kernel import dispatch
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.ranges.mse import MseRange
from quant.methods.ranges.percentile import PercentileRange
from quant.methods.registry import RangeRule

RULES = [rule() for rule in get_args(RangeRule)]
RNG = np.random.default_rng(0)
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def observed(rule, *batches):
    observer = _Seen(rule.evidence)
    for batch in batches:
        observer.add("x", batch.astype(np.float32))
    return observer.observed()


def error(values, ends, bits=8):
    found = ActivationRange(*ends, bits)
    scale, zero = float(found.scale), int(found.zero_point)
    codes = np.clip(np.rint(values / scale) + zero, 0, 2**bits - 1)
    return np.mean(((codes - zero) * scale - values) ** 2)


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


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_mse_range_loses_no_more_than_any_other(bits):
    values = RNG.laplace(size=(8, 5000))
    ends = {rule.name: rule.range(observed(rule, *values), 2**bits) for rule in RULES}
    losses = {name: error(values, found, bits) for name, found in ends.items()}
    assert losses["mse"] <= 1.02 * min(losses.values())


def test_the_analytic_range_is_close_to_the_measured_optimum():
    values = np.maximum(RNG.laplace(size=(16, 5000)), 0)
    ends = {rule.name: rule.range(observed(rule, *values), 16) for rule in RULES}
    assert error(values, ends["analytic"], 4) <= 1.1 * error(values, ends["mse"], 4)


@pytest.mark.parametrize("q", [90.0, 99.0, 99.9])
def test_the_percentile_is_that_of_the_sorted_values(q):
    values = RNG.normal(size=(8, 5000))
    rule = PercentileRange(q=q)
    lower, upper = rule.range(observed(rule, *values), 256)
    bin_width = 2.0 ** np.ceil(np.log2(np.abs(values).max())) / HALF
    tail = (100 - q) / 2
    np.testing.assert_allclose((lower, upper), np.percentile(values, [tail, 100 - tail]), atol=0.02 + bin_width)


def test_a_moving_average_follows_the_batches():
    batches = [np.array([0.0, 1.0]), np.array([0.0, 3.0])]
    assert MinMaxRange(moving=0.25).range(observed(MinMaxRange(), *batches), 256) == (0.0, 1.5)
    assert MinMaxRange().range(observed(MinMaxRange(), *batches), 256) == (0.0, 3.0)


def test_the_histogram_of_batches_is_that_of_all_values():
    batches = [RNG.normal(scale=scale, size=4000).astype(np.float32) for scale in (0.01, 1, 30, 2)]
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch, float(np.abs(batch).max()))
    expected, _ = np.histogram(np.concatenate(batches).astype(np.float64), histogram.edges)
    np.testing.assert_array_equal(histogram.counts, expected)


@pytest.mark.parametrize("size", [1, 1000, 3 * SLAB, 40 * SLAB + 7])
def test_counting_in_threads_is_counting(monkeypatch, size):
    dispatch.load()
    values = RNG.standard_t(3, size=size).astype(np.float32) * (RNG.random(size) > 0.2)
    both = []
    for loaded in (True, False):
        monkeypatch.setattr("quant.kernel.dispatch.loaded", lambda loaded=loaded: loaded)
        both.append(Histogram())
        both[-1].add(values.astype(np.float32), float(np.abs(values).max(initial=1)))
    np.testing.assert_array_equal(both[0].counts, both[1].counts)
    assert both[0].counts.sum() == np.count_nonzero(values)


def test_zeros_are_left_out_of_the_histogram():
    seen = observed(MseRange(), np.array([0, 0, 1, 2.0]), np.zeros(5))
    assert seen.counts.sum() == 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("symmetric", [False, True])
def test_zero_is_exact_and_the_ends_are_reached(bits, symmetric):
    found = ActivationRange(-1.0, 3.0, bits, symmetric)
    lower, upper = found.representable
    assert found.dtype == np.dtype(f"{'int' if symmetric else 'uint'}{bits}")
    assert upper == pytest.approx(3, abs=float(found.scale))
    assert lower <= -1 + float(found.scale)
    assert (int(found.zero_point) == 0) == symmetric
