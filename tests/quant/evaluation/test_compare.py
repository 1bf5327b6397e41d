"""An evaluation compares both models batch by batch, with the labels of each batch."""

import numpy as np
import pytest

from quant.data.dataset import Dataset
from quant.evaluation.compare import evaluate


class Doubling:
    """A stand-in for the quantized model: it returns twice its input."""

    outputs = ("scores",)

    def run(self, feeds):
        return [2 * feeds["x"]]


def test_outputs_are_compared_batch_by_batch_and_progress_is_reported():
    scores = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    samples = Dataset({"x": scores}, scores.argmax(axis=1), 12, 4)
    steps = []
    expected = ([feeds["x"]] for feeds in samples.batches())
    comparison = evaluate(expected, Doubling(), samples, lambda completed, total: steps.append((completed, total)))
    assert comparison.sqnr_db == pytest.approx(0)  # the error is as large as the signal
    assert comparison.figures().top1_quantized == 100
    assert (steps[-1], comparison.samples) == ((12, 12), 12)
    assert [(entry["name"], entry["samples"]) for entry in comparison.output_entries()] == [("scores", 12)]


def test_outputs_for_fewer_batches_than_samples_are_an_error():
    samples = Dataset({"x": np.ones((8, 3), np.float32)}, None, 8, 4)
    with pytest.raises(ValueError, match="shorter"):
        evaluate([[np.ones((4, 3), np.float32)]], Doubling(), samples, lambda *_: None)
