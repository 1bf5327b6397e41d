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
    with pytest.raises(InputMismatch, match=r"'labels' is .*; accepted: one class number per sample"):
        read_dataset(stored(tmp_path, input=images(20), labels=labels), model())


def test_labels_may_be_a_column_of_floats(tmp_path):
    labels = read_dataset(stored(tmp_path, input=images(20), labels=np.arange(20.0)[:, None]), model()).labels
    assert (labels.dtype, labels.tolist()) == (np.int64, list(range(20)))


def test_a_single_number_is_no_array_of_samples(tmp_path):
    with pytest.raises(InputMismatch, match="'input' is one number"):
        read_dataset(stored(tmp_path, input=np.float32(1)), model())


@pytest.mark.parametrize("size", [1, 3, 8, 16])
def test_a_fixed_batch_of_any_size_gives_whole_batches_with_their_labels(tmp_path, size):
    labels = np.arange(20) % 10
    data = read_dataset(stored(tmp_path, input=images(20), labels=labels), model({"input": ("FLOAT", [size, 3, 4, 4])}))
    used = 20 // size * size
    assert [len(batch["input"]) for batch in data.batches()] == [size] * (20 // size)
    np.testing.assert_array_equal(np.concatenate(list(data.label_batches())), labels[:used])
    assert data.halved() is data.singly() is data


def test_too_few_samples_for_a_batch_of_eight_are_refused_with_what_to_send(tmp_path):
    with pytest.raises(InputMismatch, match="exactly 8 samples; the dataset has 5; accepted: at least 8"):
        read_dataset(stored(tmp_path, input=images(5)), model({"input": ("FLOAT", [8, 3, 4, 4])}))


@pytest.mark.parametrize("batch", ["N", "B", "batch", "batch_size", "dynamic_batch"])
def test_samples_lie_along_the_axis_that_is_called_batch(tmp_path, batch):
    sequence = model({"input": ("FLOAT", ["time", batch, 6]), "state": ("FLOAT", [2, batch, 4])})
    values = np.random.default_rng(0).normal(size=(7, 20, 6)).astype(np.float32)
    data = read_dataset(stored(tmp_path, input=values, state=np.zeros((2, 20, 4), np.float32)), sequence)
    feeds = list(data.batches())
    assert [{name: value.shape for name, value in feed.items()} for feed in feeds][-1] == {
        "input": (7, 4, 6), "state": (2, 4, 4)
    }  # fmt: skip
    np.testing.assert_array_equal(np.concatenate([feed["input"] for feed in feeds], axis=1), values)
    assert (data.samples, data.samples_first) == (20, False)


def test_an_input_without_a_batch_axis_has_one_value_for_all_samples(tmp_path):
    both = model({"input": ("FLOAT", ["N", 6]), "prior": ("FLOAT", [3, 4]), "rate": ("FLOAT", [])})
    arrays = {"input": np.ones((20, 6), np.float32), "prior": np.ones((3, 4), np.float32), "rate": np.float32(2)}
    feeds = list(read_dataset(stored(tmp_path, **arrays), both).batches())
    assert [{name: value.shape for name, value in feed.items()} for feed in feeds] == [
        {"input": (size, 6), "prior": (3, 4), "rate": ()} for size in (8, 8, 4)
    ]


def test_an_input_without_a_batch_axis_may_have_a_value_for_each_sample(tmp_path):
    both = model({"input": ("FLOAT", ["N", 6]), "prior": ("FLOAT", [3, 4]), "rate": ("FLOAT", [])})
    arrays = {"input": np.ones((5, 6)), "prior": np.ones((5, 3, 4)), "rate": np.arange(5)}
    data = read_dataset(stored(tmp_path, **{name: a.astype(np.float32) for name, a in arrays.items()}), both)
    feeds = list(data.batches())
    assert [{name: value.shape for name, value in feed.items()} for feed in feeds] == [
        {"input": (1, 6), "prior": (3, 4), "rate": ()}
    ] * 5
    assert [float(feed["rate"]) for feed in feeds] == list(range(5))


def test_inputs_of_different_fixed_batches_are_refused_with_the_form_that_is_accepted(tmp_path):
    both = model({"a": ("FLOAT", [4, 6]), "b": ("FLOAT", [2, 6])})
    with pytest.raises(InputMismatch, match=r"'a' \[samples, 4, 6\], 'b' \[samples, 2, 6\]"):
        read_dataset(stored(tmp_path, a=np.ones((8, 6), np.float32), b=np.ones((8, 6), np.float32)), both)


@pytest.mark.parametrize("name", ["labels", "images", "mean", "std"])
def test_an_input_may_have_the_name_of_a_special_array(tmp_path, name):
    named, classes = model({name: ("FLOAT", ["N", 3, 4, 4])}), np.arange(20)
    data = read_dataset(stored(tmp_path, **{name: images(), "__labels__": classes}), named)
    np.testing.assert_array_equal(data.labels, classes)
    np.testing.assert_array_equal(np.concatenate([batch[name] for batch in data.batches()]), images())
    pixels = np.zeros((20, 4, 4, 3), np.uint8)
    escaped = read_dataset(stored(tmp_path, __images__=pixels, __mean__=np.ones(3), __std__=np.full(3, 0.5)), named)
    assert {float(value) for batch in escaped.batches() for value in np.unique(batch[name])} == {-2.0}


def test_an_input_called_labels_is_not_read_as_classes(tmp_path):
    both = model({"input": ("FLOAT", ["N", 6]), "labels": ("INT64", ["N"])})
    arrays = {"input": np.ones((3, 6), np.float32), "labels": np.array([7, 8, 9])}
    assert read_dataset(stored(tmp_path, **arrays), both).labels is None


def test_labels_that_are_given_twice_are_refused(tmp_path):
    with pytest.raises(InputMismatch, match="'__labels__' and 'labels' mean the same"):
        read_dataset(stored(tmp_path, input=images(3), labels=np.arange(3), __labels__=np.arange(3)), model())


def test_uint8_images_for_an_input_called_images_are_pointed_to_the_other_name(tmp_path):
    named = model({"images": ("FLOAT", ["N", 3, 4, 4])})
    with pytest.raises(InputMismatch, match="'__images__'"):
        read_dataset(stored(tmp_path, images=np.zeros((5, 4, 4, 3), np.uint8)), named)


def test_a_mask_may_hold_minus_infinity_beside_zero(tmp_path):
    mask = np.where(np.arange(20 * 48).reshape(20, 3, 4, 4) % 3, 0, -np.inf).astype(np.float32)
    assert read_dataset(stored(tmp_path, input=mask), model()).samples == 20
    mask[17, 1, 2, 3] = 0.5
    with pytest.raises(NonFiniteData, match=r"-inf at \[0, 0, 0, 0\]"):
        read_dataset(stored(tmp_path, input=mask), model())
