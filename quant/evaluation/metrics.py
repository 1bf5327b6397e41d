"""Metrics that compare the quantized model's outputs with the float model's, accumulated batch by batch."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.class_overlap import ClassOverlap
from quant.evaluation.matched_pairs import MatchedPairs
from quant.outcome.summary import OutputFigures
from quant.spec import Metric

EXACT_DB = 200.0
"""The SQNR of equal outputs in dB. JSON has no infinity; the error of float32 rounding lies near 150 dB."""


def sqnr_db(signal: float, noise: float) -> float:
    """Return the signal-to-quantization-noise ratio 10 log10(signal / noise) in dB, from 0 without signal to 200.

    Args:
        signal: the energy of the signal, its sum of squares.
        noise: the energy of the error.
    """
    if noise <= 0:
        return EXACT_DB
    if not math.isfinite(noise):  # the sum of squares overflowed
        return 0.0
    return min(EXACT_DB, 10 * math.log10(signal / noise)) if signal > 0 else 0.0


@dataclass
class OutputComparison:
    """Running sums over the outputs of both models on the same samples, in double precision.

    The figures on classes describe the first output; they exist where it has the shape (samples, classes).

    Attributes:
        signal: energy of the float model's outputs.
        quantized_energy: energy of the quantized model's outputs.
        product: inner product of both models' outputs.
        noise: energy of the difference of both models' outputs.
        values: number of compared output elements.
        samples: number of classified samples.
        labelled: number of classified samples with a label.
        agreed: samples for which both models choose the same class.
        correct_float, correct_quantized: samples that each model classifies correctly.
        top5_float, top5_quantized: samples whose label is among the five highest scores of each model.
        lost, gained: samples that only the float model, or only the quantized model, classifies correctly.
        classes: number of classes.
        overlap: the overlap of both models' class maps.
        classifies: False as soon as the first output turned out not to have the shape (samples, classes).
    """

    signal: float = 0.0
    quantized_energy: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    values: int = 0
    samples: int = 0
    labelled: int = 0
    agreed: int = 0
    correct_float: int = 0
    correct_quantized: int = 0
    top5_float: int = 0
    top5_quantized: int = 0
    lost: int = 0
    gained: int = 0
    classes: int = 0
    overlap: ClassOverlap = field(default_factory=ClassOverlap)
    classifies: bool = True

    def add(
        self,
        expected: list[NDArray[np.generic]],
        actual: list[NDArray[np.generic]],
        labels: NDArray[np.int64] | None,
    ) -> None:
        """Add one batch.

        Args:
            expected: the float model's outputs in the graph's order; outputs that are not floats do not count.
            actual: the quantized model's outputs, of the same shapes.
            labels: the correct classes, shape (samples,).
        """
        for float_output, quantized_output in zip(expected, actual, strict=True):
            if float_output.dtype.kind == "f":
                self._add_energies(float_output, quantized_output)
        self.overlap.add(expected[0], actual[0])
        self.classifies &= expected[0].ndim == 2 and expected[0].shape[1] > 1 and expected[0].dtype.kind == "f"
        if self.classifies:
            self._add_classes(expected[0], actual[0], labels)

    def _add_energies(self, expected: NDArray[np.generic], actual: NDArray[np.generic]) -> None:
        x, y = expected.astype(np.float64).ravel(), actual.astype(np.float64).ravel()
        self.signal += float(x @ x)
        self.quantized_energy += float(y @ y)
        self.product += float(x @ y)
        self.noise += float((x - y) @ (x - y))
        self.values += x.size

    def _add_classes(
        self, expected: NDArray[np.generic], actual: NDArray[np.generic], labels: NDArray[np.int64] | None
    ) -> None:
        by_float, by_quantized = expected.argmax(axis=1), actual.argmax(axis=1)
        self.samples += len(by_float)
        self.classes = expected.shape[1]
        self.agreed += int((by_float == by_quantized).sum())
        if labels is None:
            return
        float_right, quantized_right = by_float == labels, by_quantized == labels
        self.labelled += len(labels)
        self.correct_float += int(float_right.sum())
        self.correct_quantized += int(quantized_right.sum())
        self.lost += int((float_right & ~quantized_right).sum())
        self.gained += int((quantized_right & ~float_right).sum())
        self.top5_float += _count_in_top(expected, labels, 5)
        self.top5_quantized += _count_in_top(actual, labels, 5)

    @property
    def paired(self) -> MatchedPairs:
        """The labelled samples that only one of the models classifies correctly."""
        return MatchedPairs(self.labelled, self.lost, self.gained)

    @property
    def sqnr_db(self) -> float:
        """The SQNR over all outputs, in dB."""
        return sqnr_db(self.signal, self.noise)

    @property
    def cosine(self) -> float | None:
        """The cosine similarity of both models' outputs; None if one of them is all zeros."""
        energy = math.sqrt(self.signal * self.quantized_energy)
        return self.product / energy if energy > 0 else None

    def figures(self) -> OutputFigures:
        """Return the output figures of the summary."""
        classifies = self.classifies and self.samples > 0
        return OutputFigures(
            output_sqnr_db=self.sqnr_db,
            output_cosine=self.cosine,
            top1_agreement=self.agreed / self.samples if classifies else None,
            top1_float=self._percent(self.correct_float),
            top1_quantized=self._percent(self.correct_quantized),
        )

    def details(self, metric: Metric | None) -> dict[str, Any]:
        """Return the report's `evaluation`: top-5 in percent, the top-1 difference in points, the chosen metric."""
        top5 = self.classes > 5
        return {
            "top5_float": self._percent(self.top5_float) if top5 else None,
            "top5_quantized": self._percent(self.top5_quantized) if top5 else None,
            "top1_difference": self._top1_difference() if self.classifies and self.labelled else None,
            "metric": None if metric is None else {"name": metric, "value": self.value_of(metric)},
        }

    def _top1_difference(self) -> dict[str, float]:
        low, high = self.paired.interval()
        return {
            "points": 100 * self.paired.difference,
            "low": 100 * low,
            "high": 100 * high,
            "confidence": 0.95,
            "samples": self.labelled,
        }

    def value_of(self, metric: Metric) -> float | None:
        """Return the value of a metric; None where these outputs do not have it."""
        if metric == "sqnr":
            return self.sqnr_db
        if metric == "cosine":
            return self.cosine
        if metric == "mse":
            return self.noise / self.values if self.values else None
        return self.overlap.mean_iou

    def _percent(self, count: int) -> float | None:
        return 100 * count / self.labelled if self.classifies and self.labelled else None


def _count_in_top(scores: NDArray[Any], labels: NDArray[np.int64], count: int) -> int:
    """Return the number of samples whose label has one of the `count` highest scores.

    Of equal scores the class with the lower number counts as the higher one, and NaN counts as the highest score.
    """
    label_scores = np.take_along_axis(scores, labels[:, None], axis=1)
    lower_number = np.arange(scores.shape[1]) < labels[:, None]
    rank = (~(scores <= label_scores)).sum(axis=1) + ((scores == label_scores) & lower_number).sum(axis=1)
    return int((rank < count).sum())
