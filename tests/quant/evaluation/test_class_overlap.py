"""Mean intersection over union against plain formulas on the whole set."""

import numpy as np
import pytest

from quant.evaluation.class_overlap import ClassOverlap


def test_mean_iou_averages_over_the_classes_that_occur():
    rng = np.random.default_rng(3)
    expected, actual = rng.normal(size=(2, 6, 4, 5, 7)).astype(np.float32)
    expected[:, 3] = actual[:, 3] = -9  # a class that never occurs
    overlap = ClassOverlap()
    for start in (0, 4):
        overlap.add(expected[start : start + 4], actual[start : start + 4])
    a, b = expected.argmax(1), actual.argmax(1)
    each = [((a == c) & (b == c)).sum() / ((a == c) | (b == c)).sum() for c in range(3)]
    assert overlap.mean_iou == pytest.approx(np.mean(each))
    assert ClassOverlap().mean_iou is None
