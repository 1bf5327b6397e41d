"""Output comparison against plain formulas on the whole set."""

import numpy as np
import pytest

from quant.metrics import EXACT_DB, OutputComparison, sqnr_db


def test_batches_add_up_to_the_figures_of_the_whole_set():
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(50, 10)).astype(np.float32)
    actual = expected + rng.normal(scale=0.3, size=expected.shape).astype(np.float32)
    labels = rng.integers(0, 10, 50)
    comparison = OutputComparison()
    for start in range(0, 50, 8):
        window = slice(start, start + 8)
        comparison.add([expected[window]], [actual[window]], labels[window])
    figures = comparison.figures(labelled=True)
    x, y = expected.astype(np.float64), actual.astype(np.float64)
    assert figures["output_sqnr_db"] == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()))
    assert figures["output_cosine"] == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))
    assert figures["top1_agreement"] == pytest.approx((x.argmax(1) == y.argmax(1)).mean())
    assert figures["top1_float"] == pytest.approx(100 * (x.argmax(1) == labels).mean())
    assert figures["top1_quantized"] == pytest.approx(100 * (y.argmax(1) == labels).mean())


def test_outputs_that_are_no_classes_have_no_top1():
    comparison = OutputComparison()
    image = np.ones((2, 3, 4, 4), np.float32)
    comparison.add([image], [image], None)
    figures = comparison.figures(labelled=False)
    assert figures["output_sqnr_db"] == EXACT_DB
    assert figures["top1_agreement"] is figures["top1_float"] is None


def test_sqnr_is_zero_without_a_signal_and_bounded_without_noise():
    assert sqnr_db(0, 1) == 0
    assert sqnr_db(1, 0) == EXACT_DB
    assert sqnr_db(100, 1) == pytest.approx(20)
