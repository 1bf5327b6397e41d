"""Labels are classes of the model, and every set comes in batches that the model takes."""

import numpy as np
import onnx
import pytest

from quant.calibration.data_checks import check_data
from quant.data.dataset import Dataset
from quant.errors import InputMismatch
from quant.runtime import Session


def session(body="y = Relu(x)"):
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g (float[N, 4] x) => (y) {{ {body} }}')
    return Session(model.SerializeToString())


def dataset(samples=20, labels=None):
    values = np.random.default_rng(0).normal(size=(samples, 4)).astype(np.float32)
    return Dataset({"x": values}, None if labels is None else np.asarray(labels), samples, 8)


def test_nothing_is_run_without_data():
    checked = check_data(session(), None, None)
    assert (checked.calibration, checked.evaluation, checked.findings) == (None, None, ())


@pytest.mark.parametrize("role", ["calibration", "evaluation"])
@pytest.mark.parametrize("label", [4, -1, 1000])
def test_a_label_outside_the_classes_is_refused_with_its_place(role, label):
    sets = {"calibration": dataset(), "evaluation": dataset()} | {role: dataset(20, [0] * 7 + [label] + [0] * 12)}
    with pytest.raises(InputMismatch, match=rf"label {label} at index 7 of the {role} data .* 4 classes; .* 0 to 3"):
        check_data(session(), sets["calibration"], sets["evaluation"])


def test_labels_of_a_model_with_a_fixed_batch_are_checked_too():
    fixed = dataset(20, [9] * 20).in_batches_of(4)
    with pytest.raises(InputMismatch, match="4 classes"):
        check_data(session(), None, fixed)


@pytest.mark.parametrize(
    "body", ["y = ArgMax<axis = 1, keepdims = 0>(x)", "a = Constant<value_ints = [2]>() y = Unsqueeze(x, a)"]
)
def test_labels_of_a_model_without_classes_are_not_used_and_that_is_said(body):
    (finding,) = check_data(session(body), dataset(20, [99] * 20), dataset(20, [99] * 20)).findings
    assert finding.code == "dataset.labels_unused"
    assert "top-1 accuracy is null" in finding.detail
    assert check_data(session(body), dataset(20, [99] * 20), dataset()).findings == ()


def test_both_sets_come_one_by_one_where_the_model_takes_one_sample():
    checked = check_data(session("y = Flatten<axis = 0>(x)"), dataset(5), dataset(9))
    assert [data.batch for data in (checked.calibration, checked.evaluation)] == [1, 1]
    assert [finding.code for finding in checked.findings] == ["dataset.sample_by_sample"]


def test_a_set_that_is_smaller_than_the_only_batch_is_refused():
    body = "s = Constant<value_ints = [8, 2, 2]>() y = Reshape(x, s)"
    with pytest.raises(InputMismatch, match="exactly 8 samples; the dataset has 5; accepted: at least 8"):
        check_data(session(body), dataset(16), dataset(5))


def test_samples_that_are_left_out_are_counted_for_each_set():
    checked = check_data(session(), dataset(20).in_batches_of(8), dataset(16).in_batches_of(8))
    (finding,) = checked.findings
    assert finding.code == "dataset.incomplete_batch"
    assert finding.detail.startswith("16 of the 20 samples of the calibration data are used")
