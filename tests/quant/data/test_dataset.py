"""Batches and subsets of a dataset."""

import numpy as np
import pytest

from quant.data.dataset import Dataset


def test_the_batches_of_a_long_set_are_counted_once(monkeypatch):
    data = Dataset({"x": np.arange(300)}, None, 300, 1)
    calls, windows = [], Dataset._windows
    monkeypatch.setattr(Dataset, "_windows", lambda self: calls.append(1) or windows(self))
    reported = []
    assert sum(1 for _ in data.watched(lambda *step: reported.append(step))) == 300
    assert reported == [(completed, 300) for completed in range(1, 301)]
    assert len(calls) <= 3


def test_held_out_batches_are_every_nth_and_the_rest_is_fitted_on():
    fitting, held_out = Dataset({"x": np.arange(40)}, None, 40, 8).split(5)
    assert (fitting.numbers, held_out.numbers) == ((0, 1, 2, 3), (4,))
    assert [list(feeds["x"]) for feeds in held_out.batches()] == [list(range(32, 40))]


def test_a_set_of_few_batches_is_not_split():
    data = Dataset({"x": np.arange(20)}, None, 20, 8)
    assert data.split(5) == (data, data)


@pytest.mark.parametrize(("samples", "batch"), [(40, 8), (32, 8), (31, 8), (24, 4), (8, 2), (3, 1)])
def test_the_batches_of_a_small_set_are_halved_until_one_can_be_held_out(samples, batch):
    smaller = Dataset({"x": np.arange(samples)}, None, samples, 8).in_batches(4)
    assert (smaller.batch, smaller.used) == (batch, samples)
    assert samples < 4 or smaller.split(4)[1].used <= samples / 4


def test_a_batch_size_that_the_model_requires_is_not_halved():
    fixed = Dataset({"x": np.arange(24)}, None, 24, 8, fixed=True)
    assert fixed.in_batches(4) is fixed


@pytest.mark.parametrize(("samples", "numbers"), [(1, (0,)), (24, (0, 3, 6)), (1000, tuple(range(10)))])
def test_a_spread_takes_batches_at_even_distances(samples, numbers):
    assert Dataset({"x": np.arange(80)}, None, 80, 8).spread(samples).numbers == numbers


def test_single_samples_are_taken_unless_the_model_fixes_the_batch():
    assert [len(feeds["x"]) for feeds in Dataset({"x": np.arange(5)}, None, 5, 8).singly().batches()] == [1] * 5
    fixed = Dataset({"x": np.arange(6)}, None, 6, 3, fixed=True)
    assert fixed.singly() is fixed


def test_labels_come_in_the_same_batches_as_the_samples():
    data = Dataset({"x": np.arange(20)}, np.arange(20), 20, 8)
    for feeds, labels in zip(data.batches(), data.label_batches(), strict=True):
        np.testing.assert_array_equal(feeds["x"], labels)
    assert list(Dataset({"x": np.arange(20)}, None, 20, 8).label_batches()) == [None] * 3


@pytest.mark.parametrize("samples", [1, 3, 4, 5, 8, 11, 12, 20, 23])
def test_half_batches_are_the_same_samples(samples):
    data = Dataset({"x": np.arange(samples)}, None, samples, 8)
    for whole in (data, *data.split(2)):
        given = [int(x) for feeds in whole.batches() for x in feeds["x"]]
        halves = [[int(x) for x in feeds["x"]] for feeds in whole.halved().batches()]
        if len(given) < 4:
            assert halves == [given]
        else:
            assert [len(half) for half in halves] == [4] * (len(given) // 4)
            assert [x for half in halves for x in half] == given[: len(given) // 4 * 4]


def test_batches_that_the_model_fixes_are_not_halved():
    data = Dataset({"x": np.arange(12)}, None, 12, 6, fixed=True)
    assert data.halved() is data
