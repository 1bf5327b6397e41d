"""Segmentation: intersection over union of the regions of each class (Everingham et al., 2010)."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch
from quant.methods.metrics.base import MetricBase, SampleSums, Values, require_rank
from quant.outcome.task_figures import MEAN_IOU, TaskFigure

ClassMap = NDArray[np.int64]
"""The class of each position, of any shape; -1 where it is not known."""


class Segmentation(MetricBase):
    """Mean intersection over union of class maps: scores (classes, height, width), one score, or integer classes."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (MEAN_IOU,)
    name: Literal["segmentation"] = "segmentation"
    threshold: float = 0.5
    """The least score of the foreground, for a model with one score for each position."""
    ignore: int = 255
    """The class of positions in the targets that do not count; negative classes do not count either."""

    def decode(self, outputs: Sequence[NDArray[Any]]) -> ClassMap:
        """Return the class of each position."""
        scores = outputs[0]
        if scores.dtype.kind in "iub":
            return scores.astype(np.int64)
        require_rank(self.name, scores, 2, 3, 4, axes="[classes, height, width]")
        if scores.ndim > 2 and len(scores) > 1:
            classes: ClassMap = scores.argmax(axis=0)
            return classes
        return ((scores[0] if scores.ndim > 2 else scores) >= self.threshold).astype(np.int64)

    def target(self, values: NDArray[Any]) -> ClassMap:
        """Return the classes, with -1 at positions that do not count."""
        if values.dtype.kind not in "iub":
            raise InputMismatch(f"metric {self.name}: the targets are {values.dtype}; accepted: integer classes")
        classes = values.astype(np.int64)
        return np.where((classes == self.ignore) | (classes < 0), -1, classes)

    def scorer(self) -> "RegionOverlap":
        """Return a scorer without samples."""
        return RegionOverlap()


class RegionOverlap(SampleSums):
    """The intersections and unions of the regions: a row holds both for class 0, then both for class 1, and so on."""

    def row(self, prediction: ClassMap, reference: ClassMap) -> NDArray[np.float64]:
        """Return the positions in both regions and in any of them, for each class.

        Raises:
            InputMismatch: the maps differ in shape.
        """
        expected = reference.reshape(prediction.shape) if reference.size == prediction.size else reference
        if expected.shape != prediction.shape:
            raise InputMismatch(
                f"metric segmentation: a target has shape {list(reference.shape)}; accepted: {list(prediction.shape)}"
            )
        counted = expected >= 0
        first, second = expected[counted], prediction[counted]
        classes = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
        both = np.bincount(first[first == second], minlength=classes)
        union = np.bincount(first, minlength=classes) + np.bincount(second, minlength=classes) - both
        return np.stack([both, union], axis=1).reshape(-1).astype(np.float64)

    def figures_of(self, sums: NDArray[np.float64]) -> Values:
        """Return the mean over the classes that occur."""
        both, union = sums[:, 0::2], sums[:, 1::2]
        occurs = union > 0
        shares = np.where(occurs, both / np.where(occurs, union, 1), 0)
        return {MEAN_IOU.name: shares.sum(axis=1) / occurs.sum(axis=1)}
