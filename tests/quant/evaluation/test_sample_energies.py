"""Energies of single samples."""

import numpy as np
import pytest

from quant.evaluation.sample_energies import MAX_PARTS, SampleEnergies


def energies(expected, actual):
    total = SampleEnergies()
    total.add(np.asarray(expected, np.float32), np.asarray(actual, np.float32))
    return total


def test_each_sample_has_its_energies():
    total = energies([[3, 4], [0, 1]], [[3, 2], [0, 1]])
    assert total.signal == [25, 1]
    assert total.noise == [4, 0]


@pytest.mark.parametrize("shape", [(), (MAX_PARTS + 1,), (MAX_PARTS + 1, 2)])
def test_values_without_an_axis_of_samples_are_one_part(shape):
    assert energies(np.ones(shape), np.zeros(shape)).noise == [np.ones(shape).sum()]


def test_values_that_are_not_finite_are_left_out():
    total = energies([[1, np.inf]], [[np.nan, np.inf]])
    assert (total.signal, total.noise) == ([0], [0])
