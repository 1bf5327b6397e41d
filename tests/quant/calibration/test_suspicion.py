"""Calibration data that give wrong ranges are reported, ordinary data are not."""

import numpy as np
import pytest

from quant.calibration.suspicion import suspicions
from quant.data.dataset import Dataset
from quant.data.sources import AlongAxis, Constant, Feeds

RANDOM = np.random.default_rng(0)


def normal(samples=16, scale=1.0):
    return (scale * RANDOM.normal(size=(samples, 3, 4))).astype(np.float32)


def dataset(**inputs):
    samples = next(len(value) for value in inputs.values())
    return Dataset(inputs, None, samples, 8)


def codes(calibration, evaluation=None):
    return [finding.code for finding in suspicions(calibration, evaluation)]


def test_ordinary_data_are_not_suspicious():
    assert codes(dataset(x=normal(16)), dataset(x=normal(300))) == []
    assert codes(dataset(x=normal(2)), dataset(x=normal(2))) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64])
def test_zeros_are_reported_for_every_type_of_a_single_input(dtype):
    (finding,) = suspicions(dataset(x=np.zeros((16, 4), dtype)), None)
    assert (finding.code, finding.names) == ("calibration.all_zeros", ("x",))
    assert "constant" in finding.detail


def test_another_constant_is_reported_with_its_value():
    (finding,) = suspicions(dataset(x=np.full((16, 4), 0.5, np.float32)), None)
    assert finding.code == "calibration.constant"
    assert "0.5" in finding.detail


def test_one_input_of_two_that_is_constant_is_named():
    (finding,) = suspicions(dataset(x=normal(), state=np.zeros((16, 2), np.float32)), None)
    assert (finding.code, finding.names) == ("calibration.all_zeros", ("state",))


def test_the_mask_of_complete_sequences_is_not_suspicious():
    assert codes(dataset(x=normal(), mask=np.ones((16, 5), np.int64))) == []


def test_a_value_that_all_samples_share_by_declaration_is_not_suspicious():
    data = Dataset({"x": AlongAxis(normal()), "prior": Constant(np.ones(4, np.float32))}, None, 16, 8)
    assert codes(data, data) == []


def test_one_sample_is_reported():
    assert codes(dataset(x=normal(1))) == ["calibration.one_sample"]


def test_one_sample_that_is_repeated_is_reported_along_every_axis():
    assert codes(dataset(x=np.repeat(normal(1), 20, axis=0))) == ["calibration.same_sample"]
    second = Dataset({"x": AlongAxis(np.repeat(normal(3)[:, :1], 20, axis=1), 1)}, None, 20, 8)
    assert codes(second) == ["calibration.same_sample"]
    feeds = Dataset({"x": Feeds(np.repeat(normal(1), 20, axis=0))}, None, 20, 1, fixed=True)
    assert codes(feeds) == ["calibration.same_sample"]


def test_another_input_that_differs_makes_the_samples_different():
    repeated = np.repeat(normal(1), 20, axis=0)
    assert codes(dataset(x=repeated, ids=np.arange(20))) == []


@pytest.mark.parametrize(
    ("calibrated", "evaluated"),
    [(255.0, 1.0), (1.0, 255.0), (1.0, 4.6)],
    ids=["pixels unscaled", "evaluation unscaled", "not normalised"],
)
def test_another_scale_than_in_the_evaluation_is_reported_with_both_ranges(calibrated, evaluated):
    calibration, evaluation = (
        dataset(x=scale * RANDOM.random((16, 50), np.float32)) for scale in (calibrated, evaluated)
    )
    (finding,) = suspicions(calibration, evaluation)
    assert (finding.code, finding.names) == ("calibration.range_differs", ("x",))


def test_another_offset_is_reported():
    assert codes(dataset(x=normal()), dataset(x=normal() + 10)) == ["calibration.range_differs"]


def test_minus_infinity_in_a_mask_does_not_count():
    mask = np.where(RANDOM.random((16, 8)) > 0.5, 0, -np.inf).astype(np.float32)
    found = codes(dataset(x=normal(), mask=mask), dataset(x=normal(), mask=mask))
    assert found == []
