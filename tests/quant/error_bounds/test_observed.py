"""Ranges, norms and small integers are observed on the float model; boxes hold the whole calibration set."""

import numpy as np
import pytest

from quant.data.read import read_dataset
from quant.error_bounds.observed import TensorRange, input_boxes, observe_tensors
from quant.graph.weightless import weightless
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)


@pytest.fixture
def model():
    text = """net (float[N, 3, 4] x) => (float[N, 12] y) {
        r = Relu (x) s = Shape (r) n = Slice (s, zero, one) t = Concat <axis = 0> (n, rest) y = Reshape (r, t) }"""
    return model_of(text, zero=np.array([0]), one=np.array([1]), rest=np.array([12]))


@pytest.fixture
def calibration(model, tmp_path):
    samples = RNG.normal(size=(20, 3, 4)).astype(np.float32)
    np.save(tmp_path / "c.npy", samples)
    return samples, read_dataset(tmp_path / "c.npy", model)


def test_floats_have_a_range_and_computed_integers_their_values(model, calibration):
    samples, dataset = calibration
    observed = observe_tensors(weightless(model), dataset, ["r", "t"])
    assert observed.ranges["x"].shape == (1, 3, 4)
    assert observed.ranges["x"].low >= samples.min()
    assert observed.ranges["r"].low >= 0
    np.testing.assert_array_equal(observed.integers["t"], [1, 12])


def test_without_tensors_the_inputs_alone_are_observed(model, calibration):
    _, dataset = calibration
    assert set(observe_tensors(weightless(model), dataset, []).ranges) == {"x"}


def test_a_range_joins_batches():
    first, second = (TensorRange.of(np.full((2, 3), value)) for value in (-1.0, 2.0))
    assert first.norm == pytest.approx(np.sqrt(3))
    assert first.joined(second) == TensorRange((2, 3), -1.0, 2.0, second.norm)


def test_a_box_has_one_range_a_channel_over_all_samples(calibration):
    samples, dataset = calibration
    box = input_boxes(dataset)["x"]
    np.testing.assert_allclose(box.low, samples.min(axis=(0, 2)).reshape(3, 1))
    np.testing.assert_allclose(box.high, samples.max(axis=(0, 2)).reshape(3, 1))
