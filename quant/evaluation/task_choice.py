"""The metrics of a model's task where the spec names none, chosen by names, shapes and values of a batch of outputs.

Every float output is considered alone, without its axis of samples:

| a sample's values | metric |
| --- | --- |
| boxes (boxes, 4) named as boxes, beside an output named as scores | `detection` |
| scores of classes (classes) | none: top-1 covers them |
| (values) of a fixed number, of length 1 or at least 64 | `retrieval` |
| other (values) | `regression` |
| (positions, tokens), with an integer input (positions) whose numbers are all below `tokens` | `next_token` |
| (time, at least 11 classes), probabilities, whose most frequent best class is the first or the last | `ctc_text` |
| (classes, height, width), probabilities | `segmentation` |

Other outputs have no metric: SQNR and cosine describe them.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.class_scores import are_distributions
from quant.evaluation.samples import samples_of
from quant.methods.metrics.base import MetricBase
from quant.methods.metrics.ctc_text import CtcText
from quant.methods.metrics.detection import BOXES, SCORES, Detection
from quant.methods.metrics.next_token import NextToken
from quant.methods.metrics.regression import Regression
from quant.methods.metrics.retrieval import Retrieval
from quant.methods.metrics.segmentation import Segmentation

EMBEDDING = 64
"""The least number of values of an embedding; a vector of fewer values is a regression, unless its length is 1."""
CHARACTERS = 11
"""The least number of classes of a text: ten digits and the blank."""
UNIT = 1e-3
"""The largest distance of the length of a normalised embedding from 1."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Batch:
    """The outputs of the float model for one batch.

    Attributes:
        names: the names of the outputs.
        outputs: the values, in the same order.
        feeds: the inputs.
        samples: the number of samples.
        classes: True if the first output has scores of classes.
        random: True for each output that has no figures, because it depends on random numbers.
        sequences: the names of the outputs whose last axis has no fixed size: their values are no vector of features.
    """

    names: Sequence[str]
    outputs: Sequence[Any]
    feeds: Arrays
    samples: int
    classes: bool
    random: Sequence[bool]
    sequences: Container[str] = ()


def choose_metrics(batch: Batch) -> list[MetricBase]:
    """Return the metrics of the outputs, in the order of the outputs."""
    metrics: list[MetricBase] = [*_detection(batch)]
    if metrics:
        return metrics
    for number, (name, output) in enumerate(zip(batch.names, batch.outputs, strict=True)):
        if batch.random[number] or (number == 0 and batch.classes):
            continue
        rows = samples_of(output, batch.samples)
        if rows and rows[0].dtype.kind == "f" and rows[0].size:
            metric = _metric(name, rows, batch)
            metrics += [] if metric is None else [metric]
    return metrics


def token_input(feeds: Arrays, samples: int, positions: int) -> NDArray[Any] | None:
    """Return the first integer input (samples, positions) that varies as tokens do; None if there is none."""
    shapes = [(samples, positions), *([(positions,)] if samples == 1 else [])]
    for values in feeds.values():
        if values.dtype.kind in "iu" and values.shape in shapes and values.max() > 1:
            return values.reshape(samples, positions)
    return None


def _detection(batch: Batch) -> list[Detection]:
    """Return a metric if an output is named as boxes and has their shape, and another one is named as their scores."""
    rows = {name: samples_of(output, batch.samples) for name, output in zip(batch.names, batch.outputs, strict=True)}
    boxes = [name for name, values in rows.items() if values and BOXES.search(name) and values[0].shape[1:] == (4,)]
    for name, values in rows.items():
        if boxes and values and SCORES.search(name) and values[0].shape[:1] == (rows[boxes[0]] or values)[0].shape[:1]:
            return [Detection(output=boxes[0], scores=name)]
    return []


def _metric(name: str, rows: Sequence[NDArray[Any]], batch: Batch) -> MetricBase | None:
    values = np.stack(rows)
    if values.ndim == 2:
        lengths = np.linalg.norm(values.astype(np.float64), axis=1)
        if (
            name not in batch.sequences
            and values.shape[1] > 1
            and (bool((np.abs(lengths - 1) < UNIT).all()) or values.shape[1] >= EMBEDDING)
        ):
            return Retrieval(output=name)
        return Regression(output=name)
    if values.ndim == 3:
        return _sequence(name, values, batch)
    if values.ndim == 4 and values.shape[1] > 1 and are_distributions(values, axis=1):
        return Segmentation(output=name)
    return None


def _sequence(name: str, values: NDArray[Any], batch: Batch) -> MetricBase | None:
    """Return the metric of an output (samples, positions, classes)."""
    positions, classes = values.shape[1:]
    tokens = token_input(batch.feeds, len(values), positions)
    if tokens is not None and tokens.max() < classes:
        return NextToken(output=name)
    if classes < CHARACTERS or not are_distributions(values):
        return None
    most_frequent = int(np.bincount(values.argmax(axis=2).reshape(-1), minlength=classes).argmax())
    if most_frequent not in (0, classes - 1):
        return None
    return CtcText(output=name, blank=0 if most_frequent == 0 else -1)
