"""Samples of several shapes: one array for each, or padded arrays with lengths."""

import json

import numpy as np
import pytest

from quant import Inputs, quantize_model
from quant.data.read import read_dataset
from quant.errors import InputMismatch
from quant.runtime import Session
from tests.quant.data.test_read import model, stored
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)
LENGTHS = [5, 3, 5, 7, 3, 5, 5]
SPEECH = {"x": ("FLOAT", ["N", "T", 2])}
CONV = "net (float[N, 2, T] x) => (float[N, 4, T2] y) { h = Conv (x, w) y = Relu (h) }"


def sample(length, number):
    return np.full((length, 2), number, np.float32)


def samples():
    return {f"x.{number}": sample(length, number) for number, length in enumerate(LENGTHS)}


def padded(**others):
    array = np.full((len(LENGTHS), 9, 2), -1, np.float32)
    for number, length in enumerate(LENGTHS):
        array[number, :length] = number
    return {"x": array, "x.lengths": np.array(LENGTHS), **others}


@pytest.mark.parametrize(
    "arrays",
    [samples(), {name: array[None] for name, array in samples().items()}, padded()],
    ids=["without the batch axis", "with it", "padded"],
)
def test_samples_of_one_shape_are_in_one_batch_with_their_labels_and_targets(tmp_path, arrays):
    labels = np.arange(len(LENGTHS))
    data = read_dataset(stored(tmp_path, **arrays, labels=labels, targets=labels * 10), model(SPEECH))
    shapes = [batch["x"].shape for batch in data.batches()]
    assert shapes == [(4, 5, 2), (2, 3, 2), (1, 7, 2)]
    for batch, truth in zip(data.batches(), data.truth_batches(), strict=True):
        np.testing.assert_array_equal(batch["x"][:, 0, 0], truth.labels)
        np.testing.assert_array_equal(batch["x"][:, 0, 0] * 10, truth.targets[""])
        assert truth.samples == len(batch["x"])
    assert (data.samples, data.used, data.longest_run, data.sizes) == (7, 7, 4, [4, 2, 1])


def test_parts_keep_whole_batches_of_one_shape(tmp_path):
    data = read_dataset(stored(tmp_path, **samples()), model(SPEECH))
    halves = data.halved()
    assert [batch["x"].shape for batch in halves.batches()] == [(4, 5, 2)]  # incomplete half batches are left out
    assert [batch["x"].shape[1] for batch in data.singly().batches()] == [5, 5, 5, 5, 3, 3, 7]
    fitting, held_out = data.split(2)
    assert [part.used for part in (fitting, held_out)] == [5, 2]
    assert data.spread(3).used <= 4
    whole = data.in_batches_of(2)
    assert (whole.sizes, whole.used) == ([2, 2, 2], 6)
    with pytest.raises(InputMismatch, match="the dataset has 4 of one shape"):
        data.in_batches_of(5)


def test_several_inputs_share_the_shape_of_a_sample(tmp_path):
    inputs = {**SPEECH, "mask": ("BOOL", ["N", "T"]), "rate": ("FLOAT", ["N", 1])}
    masks = {f"mask.{number}": np.ones(length, np.bool_) for number, length in enumerate(LENGTHS)}
    rates = np.arange(7, dtype=np.float32)[:, None]
    data = read_dataset(stored(tmp_path, **samples(), **masks, rate=rates), model(inputs))
    for batch in data.batches():
        assert batch["mask"].shape == batch["x"].shape[:2]
        np.testing.assert_array_equal(batch["rate"][:, 0], batch["x"][:, 0, 0])


def test_complete_values_of_an_input_without_a_batch_run_one_by_one(tmp_path):
    arrays = {f"x.{number}": sample(length, number) for number, length in enumerate(LENGTHS)}
    data = read_dataset(stored(tmp_path, **arrays), model({"x": ("FLOAT", ["T", 2])}))
    assert (data.fixed, data.sizes) == (True, [1] * 7)
    assert sorted(batch["x"].shape[0] for batch in data.batches()) == sorted(LENGTHS)
    (tmp_path / "padded").mkdir()
    other = read_dataset(stored(tmp_path / "padded", **padded()), model({"x": ("FLOAT", ["T", 2])}))
    for batch, expected in zip(other.batches(), data.batches(), strict=True):
        np.testing.assert_array_equal(batch["x"], expected["x"])


def test_lengths_of_two_axes(tmp_path):
    images = np.ones((3, 3, 8, 6), np.float32)
    lengths = np.array([[8, 6], [4, 5], [8, 6]])
    data = read_dataset(
        stored(tmp_path, x=images, **{"x.lengths": lengths}), model({"x": ("FLOAT", ["N", 3, "H", "W"])})
    )
    assert [batch["x"].shape for batch in data.batches()] == [(2, 3, 8, 6), (1, 3, 4, 5)]


def test_an_input_with_a_number_in_its_name_is_no_sample(tmp_path):
    inputs = {"input.1": ("FLOAT", ["N", "T"]), "input.2": ("FLOAT", ["N", 1])}
    arrays = {"input.1.0": np.ones(3, np.float32), "input.1.1": np.ones(4, np.float32)}
    data = read_dataset(stored(tmp_path, **arrays, **{"input.2": np.ones((2, 1), np.float32)}), model(inputs))
    assert [batch["input.1"].shape for batch in data.batches()] == [(1, 3), (1, 4)]


def test_targets_may_be_ragged_and_belong_to_an_output(tmp_path):
    targets = {f"targets.boxes.{number}": np.ones((number + 1, 5)) for number in range(7)}
    texts = {"targets": np.ones((7, 4), np.int64), "targets.lengths": np.array([1, 2, 3, 4, 1, 2, 3])}
    data = read_dataset(stored(tmp_path, **samples(), **targets, **texts), model(SPEECH))
    first = next(data.truth_batches())
    assert [len(boxes) for boxes in first.targets["boxes"]] == [1, 3, 6, 7]
    assert [len(text) for text in first.targets[""]] == [1, 3, 2, 3]


@pytest.mark.parametrize(
    ("arrays", "inputs", "message"),
    [
        ({"x.0": sample(3, 0), "x.2": sample(3, 0)}, SPEECH, r"array 'x\.1' is missing; accepted: samples numbered"),
        ({"x": sample(3, 0), "x.0": sample(3, 0)}, SPEECH, "mean the same; accepted: one of them"),
        ({"x.0": sample(3, 0).astype(np.int64)}, SPEECH, r"array 'x\.0' is int64; accepted: float32"),
        ({"x.0": sample(3, 0)[:, :1]}, SPEECH, r"'x\.0' has shape \[3, 1\], and the model fixes a size .*\[N, T, 2\]"),
        ({"x.0": sample(3, 0), "x.1": sample(4, 1)}, {"x": ("FLOAT", ["N", 3, 2])}, r"array 'x\.1' has shape \[4, 2\]"),
        ({"x.0": np.ones(3, np.float32)}, SPEECH, r"have 1 axes; accepted: 3, as in \[N, T, 2\] with N = 1, or 2"),
        ({**padded(), "x.lengths": np.array([10] + 6 * [3])}, SPEECH, "length 10 of sample 0 .* accepted: 1 to 9"),
        ({**padded(), "x.lengths": np.array([3, 3])}, SPEECH, r"accepted: \[7, 1\], a length for each sample"),
        ({**padded(), "x.lengths": np.ones(7)}, SPEECH, "is float64 of shape .*; accepted: integers"),
        ({**samples(), "y.lengths": np.array([3, 3])}, SPEECH, "has no array 'y' whose lengths it could hold"),
        (padded(), {"x": ("FLOAT", ["N", 9, 2])}, "fixes every size of input 'x' but the number of samples"),
        ({**samples(), "y.0": sample(3, 0)}, SPEECH, "array 'y' is no input of the model"),
        ({**samples(), "targets": np.ones(6)}, SPEECH, "same number of samples.*'targets': 6"),
        ({**samples(), "targets": np.ones(7), "__targets__": np.ones(7)}, SPEECH, "same meaning as another one"),
    ],
)  # fmt: skip
def test_a_fault_says_what_is_accepted(tmp_path, arrays, inputs, message):
    with pytest.raises(InputMismatch, match=message):
        read_dataset(stored(tmp_path, **arrays), model(inputs))


def test_a_job_with_samples_of_several_shapes(tmp_path):
    weight = RNG.normal(size=(4, 2, 3))
    (tmp_path / "net.onnx").write_bytes(proto_of(CONV, w=weight))
    arrays = {f"x.{number}": RNG.normal(size=(2, 6 + number % 3)).astype(np.float32) for number in range(24)}
    np.savez(tmp_path / "data.npz", **arrays)
    spec = {"evaluation": {"metrics": ["regression"]}, "gates": {"max_mean_absolute_error": 0.1}}
    data = tmp_path / "data.npz"
    outcome = quantize_model(Inputs(tmp_path / "net.onnx", "net.onnx", spec, data, data), tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    sessions = [Session((tmp_path / name).read_bytes()) for name in ("net.onnx", "model.onnx")]
    pairs = [[session.run({"x": array[None]})[0] for session in sessions] for array in arrays.values()]
    errors = np.concatenate([np.abs(a - b).ravel() for a, b in pairs])
    (value,) = (entry for entry in report["summary"]["task_metrics"] if entry["name"] == "mean_absolute_error")
    assert value["value"] == pytest.approx(errors.mean(), rel=1e-5)
    assert value["samples"] == report["samples"]["evaluation"]["used"] == 24
    assert outcome.verdict == "pass"
    assert report["gates"][0]["value"] == value["value"]
