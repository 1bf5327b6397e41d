"""Boxes of a detector: formats, overlap, and the choice among overlapping boxes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BoxFormat = Literal["xyxy", "yxyx", "cxcywh", "xywh"]
"""Two corners, two corners with y first, centre and size, or the corner of the least coordinates and size."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image, the highest score first.

    Attributes:
        corners: x and y of the least and of the greatest corner, shape (boxes, 4).
        scores: shape (boxes,).
        classes: shape (boxes,).
    """

    corners: Floats
    scores: Floats
    classes: NDArray[np.int64]

    @staticmethod
    def of(corners: Floats, scores: Floats, classes: NDArray[np.int64]) -> "Boxes":
        """Return boxes in the order of their scores; equal ones keep their order, and NaN comes last."""
        order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
        return Boxes(corners[order], scores[order], classes[order])

    def above(self, score: float) -> "Boxes":
        """Return the boxes with at least this score."""
        chosen = self.scores >= score
        return Boxes(self.corners[chosen], self.scores[chosen], self.classes[chosen])

    def first(self, count: int) -> "Boxes":
        """Return the boxes with the highest scores."""
        return Boxes(self.corners[:count], self.scores[:count], self.classes[:count])


def to_corners(boxes: NDArray[Any], box_format: BoxFormat) -> Floats:
    """Return boxes (boxes, 4) of any format as corners (x1, y1, x2, y2)."""
    values = boxes.astype(np.float64)
    if box_format == "yxyx":
        return values[:, [1, 0, 3, 2]]
    if box_format == "xyxy":
        return values
    place, size = values[:, :2], values[:, 2:]
    low = place - size / 2 if box_format == "cxcywh" else place
    return np.concatenate([low, low + size], axis=1)


def overlaps(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union of all pairs of boxes (n, 4) and (m, 4), shape (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - both
    shares: Floats = np.where(union > 0, both / np.where(union > 0, union, 1), 0)
    return shares


def suppress(boxes: Boxes, iou: float) -> Boxes:
    """Return the boxes without those that overlap a better box of their class by more than `iou` (greedy NMS)."""
    remaining = np.ones(len(boxes.scores), np.bool_)
    for number in range(len(remaining)):
        if remaining[number]:
            later = (
                number
                + 1
                + np.flatnonzero(remaining[number + 1 :] & (boxes.classes[number + 1 :] == boxes.classes[number]))
            )
            overlap = overlaps(boxes.corners[number : number + 1], boxes.corners[later])[0]
            remaining[later[overlap > iou]] = False
    return Boxes(boxes.corners[remaining], boxes.scores[remaining], boxes.classes[remaining])
