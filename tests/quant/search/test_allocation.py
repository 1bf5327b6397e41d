"""Bits under a budget, against every choice there is and against the closed form's published figures."""

from itertools import pairwise, product

import numpy as np
import pytest

from quant.search.allocation import Option, allocate, closed_form, pareto_front

WIDTHS = (2, 4, 6, 8)


def made(seed, count=5):
    random = np.random.default_rng(seed)
    sizes = random.integers(100, 5000, count)
    scales = 10 ** random.uniform(-3, 1, count)
    return [
        [Option(bits, int(size) * bits / 8, float(scale * 4.0**-bits * random.uniform(0.5, 2))) for bits in WIDTHS]
        for size, scale in zip(sizes, scales, strict=True)
    ]


def every_choice(items):
    for chosen in product(*(range(len(own)) for own in items)):
        options = [own[number] for own, number in zip(items, chosen, strict=True)]
        yield sum(one.bytes for one in options), sum(one.error for one in options)


@pytest.mark.parametrize("seed", range(6))
def test_every_point_of_the_front_is_the_best_of_its_size(seed):
    items = made(seed)
    choices = list(every_choice(items))
    front = pareto_front(items)
    assert len(front) > 5
    assert front[0].bytes == min(size for size, _ in choices)
    for point in front:
        assert (point.bytes, point.error) == pytest.approx(
            tuple(
                map(
                    sum, zip(*((o[n].bytes, o[n].error) for o, n in zip(items, point.chosen, strict=True)), strict=True)
                )
            )
        )
        best = min(error for size, error in choices if size <= point.bytes + 1e-9)
        assert point.error == pytest.approx(best, rel=1e-9, abs=1e-15)
    assert all(a.bytes < b.bytes and a.error > b.error for a, b in pairwise(front))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_allocated_fits_and_is_near_the_best_that_fits(seed):
    items = made(seed)
    choices = list(every_choice(items))
    front = pareto_front(items)
    for budget in np.linspace(front[0].bytes, front[-1].bytes, 17):
        found = allocate(items, budget)
        assert found.bytes <= budget
        best = min(error for size, error in choices if size <= budget)
        below = max((point for point in front if point.bytes <= budget), key=lambda point: point.bytes)
        assert best - 1e-12 <= found.error <= below.error + 1e-12


def test_too_small_a_budget_gives_the_smallest_choice():
    items = made(0)
    assert allocate(items, 0) == pareto_front(items)[0]


def test_a_width_that_costs_more_and_gains_nothing_is_never_taken():
    items = [[Option(4, 10, 1.0), Option(6, 20, 1.5), Option(8, 30, 0.5)], [Option(8, 5, 0.0)]]
    assert [point.chosen for point in pareto_front(items)] == [(0, 0), (2, 0)]
    assert allocate(items, 29).chosen == (0, 0)


def test_the_closed_form_gives_the_published_widths():
    bounds = (0.1, 0.2, 0.4, 0.8, 1.6)  # ideal levels 5.18, 8.22, 13.04, 20.70, 32.86 at a mean of 2^4
    widths = [range(1, 9)] * 5
    assert closed_form(bounds, [1] * 5, widths, 3.7) == [2, 3, 4, 4, 5]
    uneven = closed_form(bounds, [1000, 1, 1, 1, 1], widths, 4)
    assert np.average(uneven, weights=[1000, 1, 1, 1, 1]) <= 4
    assert sorted(uneven) == uneven


def test_the_closed_form_keeps_to_the_widths_of_each_item():
    widths = [(2, 4, 8), (8,), (4, 8)]
    assert closed_form((1.0, 1.0, 1.0), [10, 10, 10], widths, 1) == [2, 8, 4]
    assert closed_form((1.0, 1.0, 1.0), [10, 10, 10], widths, 8) == [8, 8, 8]
