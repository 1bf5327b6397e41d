"""Padding is cut off samples of tokens."""

from dataclasses import replace

import numpy as np
import pytest

from quant.calibration.observers import OutputRecorder, observe
from quant.data.dataset import Dataset
from quant.data.padding import MASK, real_positions, without_padded_positions, without_padding
from quant.evaluation.compare import evaluate
from quant.graph.weightless import weightless
from quant.runtime import Session
from tests.quant.onnx_text import model_of, proto_of

RNG = np.random.default_rng(0)
LENGTHS = np.array([2, 5, 3, 5, 2, 1, 2])
TEXT = f"net (int64[N, T] ids, int64[N, T] {MASK}) => (int64[N, T] y) {{ y = Mul (ids, {MASK}) }}"


@pytest.fixture
def dataset():
    mask = (np.arange(6) < LENGTHS[:, None]).astype(np.int64)
    ids = np.arange(42).reshape(7, 6)
    return Dataset({"ids": ids, MASK: mask}, np.arange(7), 7, 8, targets={"y": [*ids]})


def test_each_sample_keeps_its_real_tokens_labels_and_targets(dataset):
    cut = without_padding(dataset, model_of(TEXT).graph)
    assert [feeds["ids"].shape for feeds in cut.batches()] == [(3, 2), (2, 5), (1, 3), (1, 1)]
    assert cut.longest_run == 3
    for feeds, truth in zip(cut.batches(), cut.truth_batches(), strict=True):
        assert feeds[MASK].all()
        for ids, label, target in zip(feeds["ids"], truth.labels, truth.targets["y"], strict=True):
            np.testing.assert_array_equal(ids, dataset.inputs["ids"][label, : LENGTHS[label]])
            np.testing.assert_array_equal(target, dataset.inputs["ids"][label])


def test_a_set_without_padding_at_the_end_stays_as_it_is(dataset):
    graph = model_of(TEXT).graph
    mask = dataset.inputs[MASK]
    for other in (np.ones_like(mask), mask[:, ::-1], np.zeros_like(mask)):
        changed = replace(dataset, inputs={**dataset.inputs, MASK: other})
        assert without_padding(changed, graph) is changed


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("N, T", "N, 6"),
        "net (int64[N, T] ids) => (int64[N, T] y) { y = Identity (ids) }",
        f"net (float[N, T, 4] ids, int64[N, T] {MASK}) => (float[N, T, 4] y) {{ y = Identity (ids) }}",
    ],
)
def test_a_model_that_takes_no_other_lengths_gets_the_set_as_it_is(dataset, text):
    assert without_padding(dataset, model_of(text).graph) is dataset


REAL = np.array([[0, 0, 1, 1, 1], [1, 0, 1, 1, 0]], bool)
FIXED = f"net (float[N, 5, 2] x, int64[N, 5] {MASK}) => (float[N, 5, 3] y, float[N, 5] scores)"
BODY = "{ y = MatMul (x, w) one = Constant <value_ints = [2]> () scores = ReduceSum <keepdims = 0> (y, one) }"


@pytest.mark.parametrize(
    ("mask", "padded"), [(REAL, True), (REAL.astype(np.float32), True), (REAL | True, False), (REAL & False, False)]
)
def test_positions_are_real_where_the_mask_is_one(mask, padded):
    real = real_positions({MASK: mask})
    assert (real is not None) == padded
    assert real is None or (real == REAL).all()
    assert real_positions({MASK: np.where(mask, 0.0, -1e9)}) is None
    assert real_positions({}) is None


@pytest.mark.parametrize("shape", [(2, 5, 3), (10, 3), (2, 4, 5, 3), (2, 4, 3, 5)])
def test_padded_positions_are_left_out_along_the_axis_of_positions(shape):
    """Real positions hold other values than padded ones."""
    axis = shape.index(5) if 5 in shape else 0
    place = [1] * len(shape)
    place[0] = shape[0]
    place[axis] = REAL.size if axis == 0 else 5
    value = np.broadcast_to(REAL.reshape(place), shape).astype(np.float32)
    left = without_padded_positions(value, REAL)
    assert left.all()
    assert left.ndim == value.ndim
    assert left.size == value.sum()


@pytest.mark.parametrize("shape", [(2, 5), (2, 3), (2, 4, 5, 5), (2, 3, 5), (1, 2, 3, 4), ()])
def test_a_tensor_without_a_known_axis_of_positions_stays_as_it_is(shape):
    value = np.ones(shape)
    assert without_padded_positions(value, REAL) is value


def test_ranges_and_errors_of_a_model_of_fixed_length_are_those_of_real_positions():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 5, 2)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    x[~REAL] = 1000
    data = Dataset({"x": x, MASK: REAL.astype(np.int64)}, None, 2, 2)
    model = model_of(f"{FIXED} {BODY}", w=weight)
    seen, outputs = Recorder(), OutputRecorder(model, data)
    observe(weightless(model), data, [seen, outputs], lambda *_: None)
    np.testing.assert_array_equal(seen.values["x"], x[REAL][None])
    assert outputs.recorded[0][0].shape == (2, 5, 3)

    comparison = evaluate(
        outputs.recorded.values(), Session(proto_of(f"{FIXED} {BODY}", w=weight + 0.01)), data, lambda *_: None
    )
    expected, actual = x[REAL] @ weight, x[REAL] @ (weight + np.float32(0.01))
    noise, signal = np.square(expected - actual).sum(), np.square(expected).sum()
    assert comparison.errors[0].compared == expected.size
    assert comparison.errors[0].sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=0.01)


class Recorder:
    """An observer that keeps the last values of x."""

    def wants(self, number):
        return ["x"]

    def add(self, number, values):
        self.values = values
