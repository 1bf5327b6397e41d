"""Metrics that compare the quantized model's outputs with the float model's, accumulated batch by batch."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.channel_groups import ChannelGroups
from quant.evaluation.class_overlap import ClassOverlap
from quant.evaluation.class_scores import are_scores, have_score_shape
from quant.evaluation.matched_pairs import MatchedPairs
from quant.evaluation.output_errors import RANDOM, OutputErrors, cosine_of, ratio_db
from quant.evaluation.sample_energies import SampleEnergies
from quant.evaluation.tasks import TaskComparison
from quant.outcome.summary import OutputFigures, WorstOutput
from quant.spec import Metric


@dataclass
class OutputComparison:
    """Running sums over the outputs of both models on the same samples, in double precision.

    The figures on classes describe the first output; they exist where it holds scores of classes, by the rule of
    `quant.evaluation.class_scores`.

    Attributes:
        names: the names of the outputs, in the graph's order.
        evaluated: number of samples.
        errors: the errors of each output.
        samples: number of samples to which the float model gives a class.
        labelled: number of classified samples with a label.
        agreed: samples for which both models choose the same class.
        correct_float, correct_quantized: samples that each model classifies correctly.
        top5_float, top5_quantized: samples whose label is among the five highest scores of each model.
        lost, gained: samples that only the float model, or only the quantized model, classifies correctly.
        classes: number of classes.
        overlap: the overlap of both models' class maps.
        classifies: True while the first output holds scores of classes in every batch; None before the first one.
        classes_by_spec: True or False if the spec says that the first output holds scores of classes.
        tasks: the figures of the model's task; None where they are not measured.
        random: the names of the outputs that depend on random numbers.
        by_channel: True if groups of channels and single samples are compared, too.
    """

    names: Sequence[str] = ()
    evaluated: int = 0
    errors: list[OutputErrors] = field(default_factory=list)
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
    classifies: bool | None = None
    classes_by_spec: bool | None = None
    tasks: TaskComparison | None = None
    random: Container[str] = ()
    by_channel: bool = False

    def add(self, expected: Sequence[Any], actual: Sequence[Any], labels: NDArray[np.int64] | None) -> None:
        """Add one batch.

        Args:
            expected: the float model's outputs in the graph's order.
            actual: the quantized model's outputs.
            labels: the correct classes, shape (samples,).
        """
        names = self.names or [f"output {number}" for number in range(len(expected))]
        self.errors = self.errors or [
            OutputErrors(
                name,
                incomparable=RANDOM if name in self.random else None,
                channels=ChannelGroups() if self.by_channel else None,
                samples=SampleEnergies() if self.by_channel else None,
            )
            for name in names
        ]
        for errors, float_output, quantized_output in zip(self.errors, expected, actual, strict=True):
            errors.add(float_output, quantized_output)
        self.classifies = self._holds_classes(expected[0], labels is not None)
        if self.classifies:
            self._add_classes(expected[0], actual[0], labels)
        if self.errors[0].incomparable is None and isinstance(expected[0], np.ndarray):
            self.overlap.add(expected[0], actual[0])

    def _holds_classes(self, output: Any, labelled: bool) -> bool:
        """Return True if the first output holds scores of classes; the first batch decides by their values."""
        if self.errors[0].incomparable is not None:
            return False
        if self.classifies is None:
            return are_scores(output, self.errors[0].name, by_spec=self.classes_by_spec, labelled=labelled)
        return self.classifies and have_score_shape(output)

    def _add_classes(
        self, expected: NDArray[np.generic], actual: NDArray[np.generic], labels: NDArray[np.int64] | None
    ) -> None:
        by_float, by_quantized = _chosen_classes(expected), _chosen_classes(actual)
        self.samples += int((by_float >= 0).sum())
        self.classes = expected.shape[1]
        self.agreed += int(((by_float == by_quantized) & (by_float >= 0)).sum())
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
    def sqnr_db(self) -> float | None:
        """The SQNR over all outputs that count together, in dB; None if there are none, or it has no lower bound.

        Float outputs count. Where no output holds floats, 8- and 16-bit integers do.
        """
        outputs = self.pooled
        ratio = ratio_db(outputs) if outputs else None
        return None if ratio is None or math.isinf(ratio) else ratio

    @property
    def worst(self) -> WorstOutput | None:
        """The output with the least SQNR; None if no output has one."""
        ratios = [(errors.sqnr_db, errors.name) for errors in self.errors if errors.judged]
        if not ratios:
            return None
        ratio, name = min((-math.inf if ratio is None else ratio, name) for ratio, name in ratios)
        return WorstOutput(name=name, sqnr_db=None if math.isinf(ratio) else ratio)

    @property
    def cosine(self) -> float | None:
        """The cosine similarity of both models' outputs that count together; None if one of them is all zeros."""
        return cosine_of(self.pooled)

    @property
    def pooled(self) -> list[OutputErrors]:
        """The outputs that count together: those of floats; those of 8- and 16-bit integers where there are none."""
        judged = [errors for errors in self.errors if errors.judged]
        return [errors for errors in judged if errors.floats] or judged

    def figures(self) -> OutputFigures:
        """Return the output figures of the summary."""
        classifies = bool(self.classifies) and self.samples > 0
        return OutputFigures(
            output_sqnr_db=self.sqnr_db,
            output_cosine=self.cosine,
            worst_output=self.worst,
            top1_agreement=self.agreed / self.samples if classifies else None,
            top1_float=self._percent(self.correct_float),
            top1_quantized=self._percent(self.correct_quantized),
            task_metrics=() if self.tasks is None else self.tasks.values(),
        )

    def output_entries(self) -> list[dict[str, Any]]:
        """Return the report's `outputs`: the figures of each output."""
        return [errors.as_dict(self.evaluated) for errors in self.errors]

    def details(self, metric: Metric | None) -> dict[str, Any]:
        """Return the report's `evaluation`: top-5 in percent, the top-1 difference in points, the chosen metric."""
        top5 = self.classes > 5
        return {
            "top5_float": self._percent(self.top5_float) if top5 else None,
            "top5_quantized": self._percent(self.top5_quantized) if top5 else None,
            "top1_difference": self._top1_difference() if self.classifies and self.samples and self.labelled else None,
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
            values = sum(errors.compared for errors in self.pooled)
            return sum(errors.noise for errors in self.pooled) / values if values else None
        return self.overlap.mean_iou

    def _percent(self, count: int) -> float | None:
        return 100 * count / self.labelled if self.classifies and self.samples and self.labelled else None


def _chosen_classes(scores: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the class with the highest score of each sample, or -1 where a score is NaN."""
    return np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1))


def _count_in_top(scores: NDArray[Any], labels: NDArray[np.int64], count: int) -> int:
    """Return the number of samples whose label has one of the `count` highest scores.

    Of equal scores the class with the lower number counts as the higher one, and NaN counts as the highest score.
    """
    label_scores = np.take_along_axis(scores, labels[:, None], axis=1)
    lower_number = np.arange(scores.shape[1]) < labels[:, None]
    rank = (~(scores <= label_scores)).sum(axis=1) + ((scores == label_scores) & lower_number).sum(axis=1)
    return int((rank < count).sum())


def output_energies(expected: Sequence[Any], actual: Sequence[Any]) -> tuple[float, float]:
    """Return the energy of the float model's outputs for one batch, and that of the quantized model's errors.

    The outputs are those of `OutputComparison.sqnr_db`. For a model without any, they are the numbers of values and of
    values that differ. Outputs that cannot be compared position by position do not count.
    """
    comparison = OutputComparison()
    comparison.add(expected, actual, None)
    pooled = comparison.pooled
    if pooled:
        return sum(errors.signal for errors in pooled), sum(errors.noise for errors in pooled)
    rest = [errors for errors in comparison.errors if errors.incomparable is None]
    return float(sum(errors.elements for errors in rest)), float(sum(errors.elements - errors.equal for errors in rest))


def holds_quantities(outputs: Sequence[Any]) -> bool:
    """Return True if any of the outputs of one batch has an SQNR."""
    comparison = OutputComparison()
    comparison.add(outputs, outputs, None)
    return bool(comparison.pooled)
