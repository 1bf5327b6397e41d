"""Allocation of bits, against every choice there is and against the closed form's published figures."""

from itertools import pairwise, product

import numpy as np
import pytest

from quant.search.allocation import FormatOption, allocate, closed_form, pareto_front

WIDTHS = (2, 4, 6, 8)


def random_weights(seed, count=5):
    """Weights of random sizes whose errors fall by about 4 with each bit."""
    random = np.random.default_rng(seed)
    sizes = random.integers(100, 5000, count)
    scales = 10 ** random.uniform(-3, 1, count)
    return [
        [
            FormatOption(bits, int(size) * bits / 8, float(scale * 4.0**-bits * random.uniform(0.5, 2)))
            for bits in WIDTHS
        ]
        for size, scale in zip(sizes, scales, strict=True)
    ]


def totals(weights, numbers):
    options = [options[number] for options, number in zip(weights, numbers, strict=True)]
    return sum(option.bytes for option in options), sum(option.error for option in options)


def every_choice(weights):
    return [totals(weights, numbers) for numbers in product(*(range(len(options)) for options in weights))]


@pytest.mark.parametrize("seed", range(6))
def test_every_allocation_of_the_front_is_the_best_of_its_size(seed):
    weights = random_weights(seed)
    choices = every_choice(weights)
    front = pareto_front(weights)
    assert len(front) > 5
    assert front[0].bytes == min(size for size, _ in choices)
    for allocation in front:
        assert (allocation.bytes, allocation.error) == pytest.approx(totals(weights, allocation.options))
        best = min(error for size, error in choices if size <= allocation.bytes + 1e-9)
        assert allocation.error == pytest.approx(best, rel=1e-9, abs=1e-15)
    assert all(a.bytes < b.bytes and a.error > b.error for a, b in pairwise(front))


@pytest.mark.parametrize("seed", range(6))
def test_an_allocation_fits_and_is_near_the_best_that_fits(seed):
    weights = random_weights(seed)
    choices = every_choice(weights)
    front = pareto_front(weights)
    for budget in np.linspace(front[0].bytes, front[-1].bytes, 17):
        allocation = allocate(weights, budget)
        assert allocation.bytes <= budget
        best = min(error for size, error in choices if size <= budget)
        below = max((point for point in front if point.bytes <= budget), key=lambda point: point.bytes)
        assert best - 1e-12 <= allocation.error <= below.error + 1e-12


def test_an_option_off_the_hull_is_taken_where_the_next_of_the_hull_does_not_fit():
    large = [FormatOption(2, 100, 1.0), FormatOption(3, 150, 0.6), FormatOption(4, 200, 0.1)]
    small = [FormatOption(2, 5, 0.011), FormatOption(8, 20, 0.01)]
    assert allocate([large, small], 170).options == (1, 0)
    assert allocate([large, small], 205).options == (2, 0)
    assert allocate([large, small], 1000).options == (2, 1)


def test_too_small_a_budget_gives_the_smallest_allocation():
    weights = random_weights(0)
    assert allocate(weights, 0) == pareto_front(weights)[0]


def test_a_width_that_costs_more_and_gains_nothing_is_never_taken():
    weights = [
        [FormatOption(4, 10, 1.0), FormatOption(6, 20, 1.5), FormatOption(8, 30, 0.5)],
        [FormatOption(8, 5, 0.0)],
    ]
    assert [allocation.options for allocation in pareto_front(weights)] == [(0, 0), (2, 0)]
    assert allocate(weights, 29).options == (0, 0)


def test_the_closed_form_gives_the_published_widths():
    bounds = (0.1, 0.2, 0.4, 0.8, 1.6)  # ideal levels 5.18, 8.22, 13.04, 20.70, 32.86 at a mean of 2^4
    widths = [range(1, 9)] * 5
    assert closed_form(bounds, [1] * 5, widths, 3.7) == [2, 3, 4, 4, 5]
    uneven = closed_form(bounds, [1000, 1, 1, 1, 1], widths, 4)
    assert np.average(uneven, weights=[1000, 1, 1, 1, 1]) <= 4
    assert sorted(uneven) == uneven


def test_the_closed_form_keeps_to_the_widths_of_each_weight():
    widths = [(2, 4, 8), (8,), (4, 8)]
    assert closed_form((1.0, 1.0, 1.0), [10, 10, 10], widths, 1) == [2, 8, 4]
    assert closed_form((1.0, 1.0, 1.0), [10, 10, 10], widths, 8) == [8, 8, 8]
