"""Formats and overlaps of boxes, and the suppression of overlapping ones."""

import numpy as np
import pytest

from quant.methods.metrics.boxes import Boxes, overlaps, suppress, to_corners

CORNERS = np.array([[1.0, 2, 5, 10]])


@pytest.mark.parametrize(
    ("box_format", "values"),
    [("xyxy", [1, 2, 5, 10]), ("yxyx", [2, 1, 10, 5]), ("cxcywh", [3, 6, 4, 8]), ("xywh", [1, 2, 4, 8])],
)
def test_every_format_gives_the_same_corners(box_format, values):
    np.testing.assert_array_equal(to_corners(np.array([values], np.float32), box_format), CORNERS)


def test_the_overlap_is_the_intersection_over_the_union():
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [4, 4, 4, 4]])
    np.testing.assert_allclose(overlaps(boxes[:1], boxes)[0], [1, 1 / 7, 0, 0])


def test_the_lesser_of_two_boxes_of_a_class_is_suppressed():
    corners = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 20, 30, 30]])
    boxes = Boxes.of(corners, np.array([0.5, 0.9, 0.8, 0.1]), np.array([0, 0, 1, 0]))
    np.testing.assert_array_equal(suppress(boxes, 0.45).scores, [0.9, 0.8, 0.1])
