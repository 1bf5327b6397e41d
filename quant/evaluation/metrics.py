"""How far a quantized model's outputs are from the float model's, accumulated batch by batch."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.outcome.summary import OutputFigures
from quant.spec import Metric

EXACT_DB = 200.0
"""Stands for no error at all: JSON has no infinity, and float32 rounding lies near 150 dB."""

NORMAL_95 = 1.959963984540054
"""Standard errors to either side that hold 95 % of a normal distribution."""


def sqnr_db(signal: float, noise: float) -> float:
    """Signal to quantization noise, 10 log10(signal / noise) of two energies, at most 200 dB."""
    if noise <= 0:
        return EXACT_DB
    if not math.isfinite(noise):  # beyond what a sum can hold
        return 0.0
    return min(EXACT_DB, 10 * math.log10(signal / noise)) if signal > 0 else 0.0


@dataclass
class Overlap:
    """How far the regions of the likeliest class coincide, class by class: samples and positions counted.

    The class axis of an output is its second; outputs without one count for nothing.
    """

    both: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    either: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, expected: NDArray[np.generic], actual: NDArray[np.generic]) -> None:
        if expected.ndim < 2 or expected.shape[1] < 2 or expected.dtype.kind != "f":
            return
        classes = expected.shape[1]
        first, second = (scores.argmax(axis=1).reshape(-1) for scores in (expected, actual))
        both = np.bincount(first[first == second], minlength=classes)
        either = np.bincount(first, minlength=classes) + np.bincount(second, minlength=classes) - both
        self.both, self.either = (both, either) if not self.both.size else (self.both + both, self.either + either)

    @property
    def mean_iou(self) -> float | None:
        """The mean over the classes that occur of intersection over union; None where there are no classes."""
        occurs = self.either > 0
        return float(np.mean(self.both[occurs] / self.either[occurs])) if occurs.any() else None


@dataclass(frozen=True)
class Paired:
    """How two models did on the same labelled samples: the first right where the second is wrong, and the reverse."""

    samples: int
    lost: int
    gained: int

    @property
    def difference(self) -> float:
        """The second's share of right answers less the first's."""
        return (self.gained - self.lost) / self.samples

    @property
    def standard_error(self) -> float:
        """Of that difference, as far as these samples show it."""
        return math.sqrt(((self.lost + self.gained) / self.samples - self.difference**2) / self.samples)

    def interval(self) -> tuple[float, float]:
        """Limits of the difference, at a confidence of 95 %.

        Half an observation is added to each of the four cells, so that few or no differences give no interval of
        length zero (Agresti and Min, 2005: Wald's interval for matched pairs, adjusted).
        """
        lost, gained, samples = self.lost + 0.5, self.gained + 0.5, self.samples + 2
        centre = (gained - lost) / samples
        error = math.sqrt((lost + gained) / samples - centre**2) / math.sqrt(samples)
        return max(centre - NORMAL_95 * error, -1.0), min(centre + NORMAL_95 * error, 1.0)


@dataclass
class OutputComparison:
    """Running sums over the outputs of both models on the same samples; double precision.

    Top-1 and top-5 figures are of the first output where it has the shape (samples, classes).
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
    overlap: Overlap = field(default_factory=Overlap)
    classifies: bool = True

    def add(
        self,
        expected: list[NDArray[np.generic]],
        actual: list[NDArray[np.generic]],
        labels: NDArray[np.int64] | None,
    ) -> None:
        """Add one batch of outputs, in graph order; non-float outputs do not count."""
        for a, b in zip(expected, actual, strict=True):
            if a.dtype.kind != "f":
                continue
            x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
            self.signal += float(x @ x)
            self.quantized_energy += float(y @ y)
            self.product += float(x @ y)
            self.noise += float((x - y) @ (x - y))
            self.values += x.size
        self.overlap.add(expected[0], actual[0])
        self._add_classes(expected[0], actual[0], labels)

    def _add_classes(
        self, expected: NDArray[np.generic], actual: NDArray[np.generic], labels: NDArray[np.int64] | None
    ) -> None:
        self.classifies &= expected.ndim == 2 and expected.shape[1] > 1 and expected.dtype.kind == "f"
        if not self.classifies:
            return
        by_float, by_quantized = expected.argmax(axis=1), actual.argmax(axis=1)
        self.samples += len(by_float)
        self.classes = expected.shape[1]
        self.agreed += int((by_float == by_quantized).sum())
        if labels is None:
            return
        right, kept = by_float == labels, by_quantized == labels
        self.labelled += len(labels)
        self.correct_float += int(right.sum())
        self.correct_quantized += int(kept.sum())
        self.lost += int((right & ~kept).sum())
        self.gained += int((kept & ~right).sum())
        self.top5_float += _among_the_first(expected, labels, 5)
        self.top5_quantized += _among_the_first(actual, labels, 5)

    @property
    def paired(self) -> Paired:
        """The labelled samples that only one of the models has right."""
        return Paired(self.labelled, self.lost, self.gained)

    @property
    def sqnr_db(self) -> float:
        return sqnr_db(self.signal, self.noise)

    @property
    def cosine(self) -> float | None:
        energy = math.sqrt(self.signal * self.quantized_energy)
        return self.product / energy if energy > 0 else None

    def figures(self) -> OutputFigures:
        """Return the figures of the summary."""
        classifies = self.classifies and self.samples > 0
        return OutputFigures(
            output_sqnr_db=self.sqnr_db,
            output_cosine=self.cosine,
            top1_agreement=self.agreed / self.samples if classifies else None,
            top1_float=self._percent(self.correct_float),
            top1_quantized=self._percent(self.correct_quantized),
        )

    def details(self, metric: Metric | None) -> dict[str, Any]:
        """What the report adds: top-5 (percent), the top-1 difference with its 95 % interval, a metric by its name."""
        top5 = self.classes > 5
        low, high = self.paired.interval() if self.labelled else (0.0, 0.0)
        return {
            "top5_float": self._percent(self.top5_float) if top5 else None,
            "top5_quantized": self._percent(self.top5_quantized) if top5 else None,
            "top1_difference": {
                "points": 100 * self.paired.difference,
                "low": 100 * low,
                "high": 100 * high,
                "confidence": 0.95,
                "samples": self.labelled,
            }
            if self.classifies and self.labelled
            else None,
            "metric": None if metric is None else {"name": metric, "value": self.value_of(metric)},
        }

    def value_of(self, metric: Metric) -> float | None:
        """The metric between both models' outputs; None where it does not exist for such outputs."""
        if metric == "sqnr":
            return self.sqnr_db
        if metric == "cosine":
            return self.cosine
        if metric == "mse":
            return self.noise / self.values if self.values else None
        return self.overlap.mean_iou

    def _percent(self, count: int) -> float | None:
        return 100 * count / self.labelled if self.classifies and self.labelled else None


def _among_the_first(scores: NDArray[Any], labels: NDArray[np.int64], count: int) -> int:
    """How many labels are among the `count` classes of the highest scores; of equal scores the first comes first."""
    mine = np.take_along_axis(scores, labels[:, None], axis=1)
    before = np.arange(scores.shape[1]) < labels[:, None]
    rank = (~(scores <= mine)).sum(axis=1) + ((scores == mine) & before).sum(axis=1)  # NaN comes before all
    return int((rank < count).sum())
