"""Padding is cut off samples of tokens."""

from dataclasses import replace

import numpy as np
import pytest

from quant.data.dataset import Dataset
from quant.data.padding import MASK, without_padding
from tests.quant.onnx_text import model_of

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
