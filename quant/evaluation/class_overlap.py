"""The overlap of two models' class maps, measured as mean intersection over union."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class ClassOverlap:
    """Counts of the positions at which two models choose the same class, accumulated over batches.

    A position is one sample of a classifier or one pixel of a segmentation model. A model chooses the class with the
    highest score along the second axis. Outputs without such an axis do not count.

    Attributes:
        both: positions at which both models choose the class, shape (classes,).
        either: positions at which at least one model chooses the class, shape (classes,).
        has_classes: False as soon as the second axis turned out to have another size in another batch.
    """

    both: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    either: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    has_classes: bool = True

    def add(self, expected: NDArray[np.generic], actual: NDArray[np.generic]) -> None:
        """Add one batch of scores of both models, each of shape (samples, classes, ...)."""
        if expected.ndim < 2 or expected.shape[1] < 2 or expected.dtype.kind != "f":
            return
        classes = expected.shape[1]
        if self.both.size not in (0, classes):
            self.has_classes = False  # the second axis counts something that differs between batches
        if not self.has_classes:
            return
        first, second = (scores.argmax(axis=1).reshape(-1) for scores in (expected, actual))
        both = np.bincount(first[first == second], minlength=classes)
        either = np.bincount(first, minlength=classes) + np.bincount(second, minlength=classes) - both
        self.both, self.either = (both, either) if not self.both.size else (self.both + both, self.either + either)

    @property
    def mean_iou(self) -> float | None:
        """The intersection over union, averaged over the classes that occur; None for outputs without classes."""
        occurs = (self.either > 0) & self.has_classes
        return float(np.mean(self.both[occurs] / self.either[occurs])) if occurs.any() else None
