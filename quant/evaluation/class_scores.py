"""Scores of classes: the rule that decides if an output of shape (samples, classes) has them.

A regression or an embedding has the same shape, and the place of its largest value means nothing. The first output has
scores of classes if the spec says so or asks for a top-1 gate. Otherwise it has them if no metric of the spec reads it,
and one of these is true: there are labels, its rows are probabilities or their logarithms, or its name says so.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.spec import Spec

NAMES = re.compile("logit|prob|softmax|class|score|categor", re.IGNORECASE)
"""Names of outputs that hold scores of classes."""
TOLERANCE = 1e-3
"""The largest distance of the sum of probabilities from 1; FP16 sums of 1000 classes stay below it."""


def classes_by_spec(spec: Spec, first_output: str) -> bool | None:
    """Return if the first output has scores of classes as far as the spec decides it; None where it does not."""
    if spec.has_classes is not None:
        return spec.has_classes
    is_read = any(metric.output in (None, first_output) for metric in spec.evaluation.metrics or ())
    return False if is_read else None


def have_score_shape(output: Any) -> bool:
    """Return True for a float array of shape (samples, classes)."""
    return isinstance(output, np.ndarray) and output.ndim == 2 and output.shape[1] > 1 and output.dtype.kind == "f"


def are_scores(output: Any, name: str, *, by_spec: bool | None, labelled: bool) -> bool:
    """Return True if the output of a batch has scores of classes, by the rule of this module."""
    if not have_score_shape(output):
        return False
    if by_spec is not None:
        return by_spec
    return labelled or are_distributions(output) or NAMES.search(name) is not None


def are_distributions(values: NDArray[Any], axis: int = -1) -> bool:
    """Return True if the values along an axis are probabilities, or their logarithms."""
    numbers = values.astype(np.float64)
    if not numbers.size or not np.isfinite(numbers).all() or numbers.shape[axis] < 2:
        return False
    if numbers.max() <= 0:
        numbers = np.exp(numbers)
    return numbers.min() >= 0 and bool((np.abs(numbers.sum(axis=axis) - 1) < TOLERANCE).all())
