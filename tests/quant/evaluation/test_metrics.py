"""Output comparison against plain formulas on the whole set."""

import numpy as np
import pytest

from quant.data.dataset import Dataset
from quant.evaluation.metrics import OutputComparison
from quant.evaluation.sqnr import EXACT_DB, sqnr_db


def test_batches_add_up_to_the_figures_of_the_whole_set():
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(50, 10)).astype(np.float32)
    actual = expected + rng.normal(scale=0.3, size=expected.shape).astype(np.float32)
    labels = rng.integers(0, 10, 50)
    comparison = OutputComparison()
    for start in range(0, 50, 8):
        window = slice(start, start + 8)
        comparison.add([expected[window]], [actual[window]], labels[window])
    figures = comparison.figures()
    x, y = expected.astype(np.float64), actual.astype(np.float64)
    assert figures.output_sqnr_db == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()))
    assert figures.output_cosine == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))
    assert figures.top1_agreement == pytest.approx((x.argmax(1) == y.argmax(1)).mean())
    assert figures.top1_float == pytest.approx(100 * (x.argmax(1) == labels).mean())
    assert figures.top1_quantized == pytest.approx(100 * (y.argmax(1) == labels).mean())


def test_outputs_that_are_no_classes_have_no_top1():
    comparison = OutputComparison()
    image = np.ones((2, 3, 4, 4), np.float32)
    comparison.add([image], [image], None)
    figures = comparison.figures()
    assert figures.output_sqnr_db == EXACT_DB
    assert figures.top1_agreement is figures.top1_float is None


def test_sqnr_is_zero_without_a_signal_and_bounded_without_noise():
    assert sqnr_db(0, 1) == 0
    assert sqnr_db(1, 0) == EXACT_DB
    assert sqnr_db(100, 1) == pytest.approx(20)


def test_top5_counts_labels_among_the_five_highest():
    rng = np.random.default_rng(1)
    expected, actual = rng.normal(size=(2, 60, 12)).astype(np.float32)
    actual[7] = np.nan
    labels = rng.integers(0, 12, 60)
    comparison = OutputComparison()
    comparison.add([expected], [actual], labels)
    details = comparison.details(None)
    among = [[label in np.argsort(-row)[:5] for row, label in zip(scores, labels, strict=True)]
             for scores in (expected, np.where(np.isnan(actual), -np.inf, actual))]  # fmt: skip
    among[1][7] = False
    assert details["top5_float"] == pytest.approx(100 * np.mean(among[0]))
    assert details["top5_quantized"] == pytest.approx(100 * np.mean(among[1]))
    comparison = OutputComparison()
    comparison.add([expected[:, :5]], [actual[:, :5]], labels % 5)
    assert comparison.details(None)["top5_float"] is None  # of five classes one is always among five


@pytest.mark.parametrize("metric", ["sqnr", "cosine", "mse", "mean_iou"])
def test_a_metric_is_reported_by_its_name(metric):
    rng = np.random.default_rng(4)
    expected, noise = rng.normal(size=(2, 8, 3, 6, 6)).astype(np.float32)
    comparison = OutputComparison()
    comparison.add([expected], [expected + noise / 10], None)
    reported = comparison.details(metric)["metric"]
    x, y = expected.astype(np.float64), (expected + noise / 10).astype(np.float64)
    formulas = {"sqnr": comparison.figures().output_sqnr_db, "cosine": comparison.figures().output_cosine,
              "mse": ((x - y) ** 2).mean(), "mean_iou": comparison.overlap.mean_iou}  # fmt: skip
    assert reported == {"name": metric, "value": pytest.approx(formulas[metric])}
    assert comparison.details(None) == dict.fromkeys(("top5_float", "top5_quantized", "top1_difference", "metric"))


def test_a_sample_with_nan_scores_has_no_class():
    scores = np.eye(4, dtype=np.float32)
    broken = scores.copy()
    broken[0] = np.nan
    labels = np.arange(4)
    for expected, actual, agreement, quantized in ((broken, broken, 1.0, 75.0), (scores, broken, 0.75, 75.0)):
        comparison = OutputComparison()
        comparison.add([expected], [actual], labels)
        assert (comparison.figures().top1_agreement, comparison.figures().top1_quantized) == (agreement, quantized)
    nothing = OutputComparison()
    nothing.add([np.full((4, 4), np.nan, np.float32)], [scores], labels)
    figures = nothing.figures()
    assert figures.top1_agreement is figures.top1_float is figures.top1_quantized is None


def test_labels_go_with_their_samples_in_every_part():
    labels = np.arange(30)
    data = Dataset({"x": labels.astype(np.float32)[:, None]}, labels, 30, 4)
    for part in (data, *data.split(2), data.spread(12)):
        for feeds, mine in zip(part.batches(), part.label_batches(), strict=True):
            np.testing.assert_array_equal(feeds["x"][:, 0], mine)
