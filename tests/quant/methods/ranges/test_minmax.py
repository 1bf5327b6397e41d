"""The range of the extremes."""

import numpy as np

from quant.methods.ranges.minmax import MinMaxRange
from tests.quant.methods.ranges.observations import observed


def test_a_moving_average_follows_the_batches():
    batches = [np.array([0.0, 1.0]), np.array([0.0, 3.0])]
    assert MinMaxRange(moving=0.25).range(observed(MinMaxRange(), *batches), 256) == (0.0, 1.5)
    assert MinMaxRange().range(observed(MinMaxRange(), *batches), 256) == (0.0, 3.0)


def test_only_a_moving_average_needs_every_batch():
    assert MinMaxRange(moving=0.1).needs_every_batch
    assert not MinMaxRange().needs_every_batch
