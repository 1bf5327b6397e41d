"""The inputs of linear layers, sampled by batch."""

import numpy as np

from quant.calibration.batch_inputs import ROWS, BatchInputObserver
from quant.data.dataset import Dataset


def test_rows_and_ranges_are_those_of_the_batches_of_the_part():
    part = Dataset({"x": np.zeros((40, 1))}, None, 40, 8, part=(1, 3))
    observer = BatchInputObserver(["h"], part)
    assert list(observer.wants(1)) == ["h"]
    assert not observer.wants(2)
    values = [np.random.default_rng(number).normal(size=(8, 50, 6)).astype(np.float32) + number for number in range(5)]
    for number, value in enumerate(values):
        observer.add(number, {"h": value})
    first, second = observer.inputs["h"]
    assert first.rows.shape == second.rows.shape == (ROWS // 2 - 28, 6)  # every fourth of 400 rows
    assert (first.low, first.high) == (values[1].min(), values[1].max())
    assert second.low == min(values[3].min(), 0)
    assert np.isin(second.rows, values[3]).all()


def test_a_batch_without_rows_is_left_out():
    observer = BatchInputObserver(["h"], Dataset({"x": np.zeros((8, 1))}, None, 8, 8))
    observer.add(0, {"h": np.zeros((0, 6), np.float32)})
    assert observer.inputs == {"h": []}
