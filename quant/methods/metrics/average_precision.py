"""Mean average precision of boxes, as COCO defines it (Lin et al., 2014): 101 recall levels, 10 IoU thresholds."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quant.methods.metrics.base import Scorer, Values
from quant.methods.metrics.boxes import Boxes, Floats, overlaps
from quant.outcome.task_figures import MAP, MAP50

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The least overlap of a box with the reference's box that it finds."""
RECALLS = np.linspace(0, 1, 101)
"""The recall levels at which precision is averaged."""


@dataclass(frozen=True)
class _Matches:
    """The boxes of one class in one image: their scores, and which find a reference at each threshold.

    Attributes:
        scores: shape (boxes,).
        right: True where a box finds a box of the reference, shape (thresholds, boxes).
        references: the number of boxes in the reference.
    """

    scores: Floats
    right: NDArray[np.bool_]
    references: int


class AveragePrecision(Scorer):
    """The matches of all images, by class."""

    resamples: ClassVar[int] = 200

    def __init__(self) -> None:
        self._images = 0
        self._classes: dict[int, list[tuple[int, _Matches]]] = {}

    def add(self, prediction: Boxes, reference: Boxes) -> None:
        """Add the boxes of one image."""
        for number in np.union1d(prediction.classes, reference.classes):
            chosen, expected = prediction.classes == number, reference.classes == number
            right = match(prediction.corners[chosen], reference.corners[expected])
            matches = _Matches(prediction.scores[chosen], right, int(expected.sum()))
            self._classes.setdefault(int(number), []).append((self._images, matches))
        self._images += 1

    def values(self, counts: NDArray[np.int64]) -> Values:
        """Return the averages over the classes that occur in the references; NaN without any."""
        classes = [_Class.of(matches) for _, matches in sorted(self._classes.items())]
        figures = [_mean_precisions(classes, row) for row in counts]
        precisions = np.asarray(figures)
        return {MAP.name: precisions.mean(axis=1), MAP50.name: precisions[:, 0]}


def match(boxes: Floats, references: Floats) -> NDArray[np.bool_]:
    """Return which boxes find a reference that no better box finds, at each threshold (thresholds, boxes).

    Args:
        boxes: corners (boxes, 4), the highest score first.
        references: corners (references, 4).
    """
    right = np.zeros((len(THRESHOLDS), len(boxes)), np.bool_)
    if not len(references):
        return right
    overlap = overlaps(boxes, references)
    for row, threshold in zip(right, THRESHOLDS, strict=True):
        free = np.ones(len(references), np.bool_)
        for number in np.flatnonzero(overlap.max(axis=1) >= threshold):
            candidates = np.where(free, overlap[number], -1)
            best = int(candidates.argmax())
            if candidates[best] >= threshold:
                free[best], row[number] = False, True
    return right


@dataclass(frozen=True)
class _Class:
    """The boxes of one class in all images, the highest score first.

    Attributes:
        images: the image of each box, shape (boxes,).
        right: which boxes find a reference, shape (thresholds, boxes).
        reference_images, references: the images with boxes of the class, and the number of boxes in their references.
    """

    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    reference_images: NDArray[np.int64]
    references: NDArray[np.int64]

    @staticmethod
    def of(matches: list[tuple[int, _Matches]]) -> "_Class":
        scores = np.concatenate([match.scores for _, match in matches])
        order = np.argsort(-scores, kind="stable")
        images = np.repeat([image for image, _ in matches], [len(match.scores) for _, match in matches])
        return _Class(
            images[order],
            np.concatenate([match.right for _, match in matches], axis=1)[:, order],
            np.asarray([image for image, _ in matches]),
            np.asarray([match.references for _, match in matches]),
        )


def _mean_precisions(classes: list[_Class], counts: NDArray[np.int64]) -> Floats:
    """Return the mean average precision at each threshold, with multiplicities of the images; NaN if none."""
    precisions = [
        _average_precisions(boxes, counts)
        for boxes in classes
        if (counts[boxes.reference_images] * boxes.references).sum()
    ]
    return np.mean(precisions, axis=0) if precisions else np.full(len(THRESHOLDS), np.nan)


def _average_precisions(boxes: _Class, counts: NDArray[np.int64]) -> Floats:
    """Return the average precision of one class at each threshold, shape (thresholds,)."""
    references = (counts[boxes.reference_images] * boxes.references).sum()
    weights = counts[boxes.images]
    right = np.cumsum(boxes.right * weights, axis=1)
    total = np.cumsum(weights)
    precision = right / np.maximum(total, 1)
    # the best precision at this recall or a greater one
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    averages = [
        row[np.searchsorted(recall, RECALLS, side="left")].mean()
        for row, recall in zip(padded, right / references, strict=True)
    ]
    return np.asarray(averages)
