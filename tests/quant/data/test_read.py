"""Datasets are checked against the model's inputs, and each fault says what would be accepted."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.data.read import read_dataset
from quant.errors import InputMismatch, NonFiniteData, UnreadableDataset

IMAGES = {"input": ("FLOAT", ["N", 3, 4, 4])}


def model(inputs=IMAGES):
    values = [
        ir.Value(name=name, type=ir.TensorType(ir.DataType[dtype]), shape=ir.Shape(shape))
        for name, (dtype, shape) in inputs.items()
    ]
    return ir.Model(ir.Graph(values, [], nodes=[], opset_imports={"": 21}), ir_version=10)


def stored(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def images(samples=20):
    return np.random.default_rng(0).normal(size=(samples, 3, 4, 4)).astype(np.float32)


def test_batches_hold_every_sample_once_with_an_odd_last_batch(tmp_path):
    data = read_dataset(stored(tmp_path, input=images(20)), model())
    batches = [batch["input"] for batch in data.batches()]
    assert [len(batch) for batch in batches] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate(batches), images(20))


def test_a_model_of_fixed_batch_gets_whole_batches_only(tmp_path):
    data = read_dataset(stored(tmp_path, input=images(20)), model({"input": ("FLOAT", [3, 3, 4, 4])}))
    assert [len(batch["input"]) for batch in data.batches()] == [3] * 6
    assert (data.samples, data.used) == (20, 18)


def test_arrays_of_one_more_axis_hold_whole_feeds(tmp_path):
    stateful = model({"input": ("FLOAT", ["N", 6]), "state": ("FLOAT", [2, "N", 4]), "rate": ("INT64", [])})
    arrays = {"input": np.ones((5, 1, 6), np.float32), "state": np.ones((5, 2, 1, 4), np.float32)}
    data = read_dataset(stored(tmp_path, **arrays, rate=np.arange(5)), stateful)
    feeds = list(data.batches())
    assert [{name: array.shape for name, array in feed.items()} for feed in feeds] == [
        {"input": (1, 6), "state": (2, 1, 4), "rate": ()}
    ] * 5
    assert [int(feed["rate"]) for feed in feeds] == list(range(5))
    with pytest.raises(InputMismatch, match=r"'state' has shape \[5, 3, 1, 4\]; accepted: \[samples, 2, N, 4\]"):
        read_dataset(
            stored(tmp_path, **arrays | {"state": np.ones((5, 3, 1, 4), np.float32)}, rate=np.arange(5)), stateful
        )


def test_a_negative_size_in_the_model_is_any_size(tmp_path):
    data = read_dataset(stored(tmp_path, input=images(20)), model({"input": ("FLOAT", [-1, 3, -1, 4])}))
    assert [len(batch["input"]) for batch in data.batches()] == [8, 8, 4]


def test_fewer_samples_than_a_fixed_batch_are_refused(tmp_path):
    with pytest.raises(InputMismatch, match="batches of exactly 3"):
        read_dataset(stored(tmp_path, input=images(2)), model({"input": ("FLOAT", [3, 3, 4, 4])}))


def test_a_npy_file_is_for_the_only_input(tmp_path):
    np.save(tmp_path / "data.npy", images())
    assert read_dataset(tmp_path / "data.npy", model()).samples == 20


def test_images_are_normalised_channels_first(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    data = read_dataset(stored(tmp_path, images=pixels, mean=mean, std=std), model())
    expected = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)
    (batch,) = data.batches()
    assert batch["input"].dtype == np.float32
    np.testing.assert_allclose(batch["input"], expected, rtol=1e-5, atol=1e-6)


def test_grey_images_get_a_channel_axis(tmp_path):
    pixels = np.zeros((5, 4, 4), np.uint8)
    data = read_dataset(stored(tmp_path, images=pixels), model({"input": ("FLOAT", ["N", 1, 4, 4])}))
    assert next(iter(data.batches()))["input"].shape == (5, 1, 4, 4)


def test_labels_are_integers_one_a_sample(tmp_path):
    data = read_dataset(stored(tmp_path, input=images(3), labels=np.array([1, 2, 3], np.uint8)), model())
    np.testing.assert_array_equal(data.labels, [1, 2, 3])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"wrong": images()}, "'input' is missing"),
        ({"input": images(), "extra": images()}, "'extra' is no input"),
        ({"input": images()[:, :2]}, r"accepted: \[N, 3, 4, 4\]"),
        ({"input": images()[0]}, r"accepted: \[N, 3, 4, 4\]"),
        ({"input": images().astype(np.float64)}, "accepted: float32"),
        ({"input": images()[:0]}, "at least one"),
        ({"input": images(), "labels": np.zeros(3, np.uint8)}, "same number of samples"),
        ({"images": np.zeros((4, 4, 4, 3), np.float32)}, "accepted: uint8"),
        ({"images": np.zeros((4, 4, 4, 3), np.uint8), "std": np.zeros(3)}, "above zero"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_would(tmp_path, arrays, message):
    with pytest.raises(InputMismatch, match=message):
        read_dataset(stored(tmp_path, **arrays), model())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_samples_are_refused_with_their_place(tmp_path, value):
    broken = images()
    broken[4, 1, 2, 3] = value
    with pytest.raises(NonFiniteData, match=r"\[4, 1, 2, 3\]"):
        read_dataset(stored(tmp_path, input=broken), model())


@pytest.mark.parametrize("data", [b"", b"junk", b"PK\x03\x04 cut short"])
def test_bytes_that_are_no_arrays_are_refused(tmp_path, data):
    path = tmp_path / "data.npz"
    path.write_bytes(data)
    with pytest.raises(UnreadableDataset, match="accepted"):
        read_dataset(path, model())


def test_pickled_objects_are_refused(tmp_path):
    with pytest.raises(UnreadableDataset, match="no pickled objects"):
        read_dataset(stored(tmp_path, input=np.array([{}, {}], dtype=object)), model())


@pytest.mark.parametrize(
    "labels",
    [np.int64(3), np.ones((20, 2)), np.array(["cat"] * 20), np.full(20, 0.5), np.full(20, np.nan), np.full(20, 1e300)],
)
def test_labels_that_are_no_class_numbers_are_refused(tmp_path, labels):
    with pytest.raises(InputMismatch, match=r"'labels' is .*; accepted: one class number a sample"):
        read_dataset(stored(tmp_path, input=images(20), labels=labels), model())


def test_labels_may_be_a_column_of_floats(tmp_path):
    labels = read_dataset(stored(tmp_path, input=images(20), labels=np.arange(20.0)[:, None]), model()).labels
    assert (labels.dtype, labels.tolist()) == (np.int64, list(range(20)))


def test_a_single_number_is_no_array_of_samples(tmp_path):
    with pytest.raises(InputMismatch, match="'input' is one number"):
        read_dataset(stored(tmp_path, input=np.float32(1)), model())
