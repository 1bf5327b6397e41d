"""The figures of a model's task on both models' outputs, accumulated batch by batch."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.data.dataset import Truth
from quant.errors import InputMismatch
from quant.evaluation.class_scores import are_scores, classes_by_spec
from quant.evaluation.intervals import Interval, bootstrap, wilson
from quant.evaluation.matched_pairs import MatchedPairs
from quant.evaluation.samples import samples_of
from quant.evaluation.task_choice import Arrays, Batch, choose_metrics, token_input
from quant.methods.metrics.base import MetricBase, Scorer, ShareScorer
from quant.methods.metrics.next_token import NextToken
from quant.methods.metrics.retrieval import Retrieval
from quant.outcome.task_figures import TaskFigure
from quant.outcome.task_values import TaskValue
from quant.spec import Spec

NO_SAMPLES = "the first axis of the output does not count the samples of a batch"
"""The reason why a metric that works sample by sample has no value."""
NOT_FINITE = "it cannot be formed, or is not finite, on these samples"
"""The reason why a figure of compared samples is null."""


@dataclass
class _Entry:
    """A metric with its scores.

    Attributes:
        metric: the metric.
        outputs: the names of the outputs that it reads.
        to_float: scores of the quantized model against the float model.
        by_targets: scores of the float and of the quantized model against the targets; None without targets.
        samples: the number of samples.
        reason: why there are no scores; None if there are some.
    """

    metric: MetricBase
    outputs: tuple[str, ...]
    to_float: Scorer
    by_targets: tuple[Scorer, Scorer] | None = None
    samples: int = 0
    reason: str | None = None


@dataclass
class TaskComparison:
    """The figures of the model's task for both models.

    Attributes:
        spec: the spec, with the metrics or without any.
        names: the names of the outputs, in the graph's order.
        random: the names of the outputs that depend on random numbers.
        sequences: the names of the outputs whose last axis has no fixed size.
    """

    spec: Spec
    names: Sequence[str]
    random: Container[str] = ()
    sequences: Container[str] = ()
    _entries: list[_Entry] | None = field(default=None, init=False)
    _values: tuple[TaskValue, ...] | None = field(default=None, init=False)

    def add(self, feeds: Arrays, expected: Sequence[Any], actual: Sequence[Any], truth: Truth) -> None:
        """Add one batch.

        Args:
            feeds: the inputs by name.
            expected: the float model's outputs in the graph's order.
            actual: the quantized model's outputs.
            truth: the labels and targets of the samples.

        Raises:
            InputMismatch: an output or a target does not have the layout of the metric, or targets have no metric.
        """
        self._values = None
        if self._entries is None:
            self._entries = self._open(feeds, expected, truth)
        for entry in self._entries:
            if entry.reason is None:
                self._add(entry, feeds, expected, actual, truth)

    def values(self) -> tuple[TaskValue, ...]:
        """Return the figures of all metrics."""
        if self._values is None:
            self._values = tuple(value for entry in self._entries or () for value in _values(entry, self.spec.seed))
        return self._values

    def _open(self, feeds: Arrays, expected: Sequence[Any], truth: Truth) -> list[_Entry]:
        """Return the metrics of the spec, or those that fit the outputs of the first batch, without samples."""
        metrics: Sequence[MetricBase] | None = self.spec.evaluation.metrics
        if metrics is None:
            by_spec, labelled = classes_by_spec(self.spec, self.names[0]), truth.labels is not None
            classes = are_scores(expected[0], self.names[0], by_spec=by_spec, labelled=labelled)
            random = [name in self.random for name in self.names]
            batch = Batch(self.names, expected, feeds, truth.samples, classes, random, self.sequences)
            metrics = choose_metrics(batch)
        entries = [_Entry(metric, metric.read_outputs(self.names), metric.scorer()) for metric in metrics]
        unread = [name for name in truth.targets if name and all(entry.outputs[0] != name for entry in entries)]
        if unread or (truth.targets and not entries):
            name = f"targets.{unread[0]}" if unread else "targets"
            raise InputMismatch(
                f"no metric reads the array {name!r}; accepted: evaluation.metrics with a metric of the output, or "
                "data without the array"
            )
        return entries

    def _add(self, entry: _Entry, feeds: Arrays, expected: Sequence[Any], actual: Sequence[Any], truth: Truth) -> None:
        numbers = [self.names.index(name) for name in entry.outputs]
        rows = [[samples_of(side[number], truth.samples) for number in numbers] for side in (expected, actual)]
        if any(values is None for side in rows for values in side):
            entry.reason = NO_SAMPLES
            return
        targets = self._targets(entry, feeds, rows[0][0] or [], truth)
        if targets is not None and entry.by_targets is None:
            entry.by_targets = entry.metric.scorer(), entry.metric.scorer()
        real = _real_positions(entry.metric, feeds, truth.samples)
        for sample in range(truth.samples):
            part = ... if real is None else real[sample]
            before, after = (entry.metric.decode([values[sample][part] for values in side if values]) for side in rows)
            entry.samples += 1
            entry.to_float.add(after, entry.metric.reference(before))
            if targets is not None and entry.by_targets is not None:
                target = entry.metric.target(np.asarray(targets[sample])[part])
                for scorer, prediction in zip(entry.by_targets, (before, after), strict=True):
                    scorer.add(prediction, target)

    def _targets(
        self, entry: _Entry, feeds: Arrays, rows: Sequence[NDArray[Any]], truth: Truth
    ) -> Sequence[NDArray[Any]] | None:
        """Return the target of each sample; None without any.

        An array `targets` belongs to the first metric. The groups of a retrieval may be the labels, and the next tokens
        of a language model follow from its input.
        """
        targets = truth.targets.get(entry.outputs[0])
        if targets is None and self._entries and entry is self._entries[0]:
            targets = truth.targets.get("")
        if targets is None and isinstance(entry.metric, Retrieval) and truth.labels is not None:
            return list(truth.labels)
        if targets is None and isinstance(entry.metric, NextToken) and rows and rows[0].ndim == 2:
            tokens = token_input(feeds, truth.samples, len(rows[0]))
            if tokens is not None and tokens.max() < rows[0].shape[1]:
                return list(np.concatenate([tokens[:, 1:], np.full((len(tokens), 1), -1)], axis=1))
        return targets


def _real_positions(metric: MetricBase, feeds: Arrays, samples: int) -> NDArray[np.bool_] | None:
    """Return which positions of a language model are no padding (samples, positions); None without a mask."""
    mask = feeds.get("attention_mask")
    if not isinstance(metric, NextToken) or mask is None or mask.ndim != 2 or len(mask) != samples:
        return None
    return mask.astype(np.bool_)


def _values(entry: _Entry, seed: int) -> list[TaskValue]:
    """Return the figures of one metric."""
    figures = [figure for figure in entry.metric.figures if figure.reference != "labels" or entry.by_targets]
    if entry.reason is not None or not entry.samples:
        return [_empty(entry, figure) for figure in figures]
    by_targets = [figure for figure in figures if entry.by_targets and figure.reference != "float"]
    to_float = [figure for figure in figures if figure not in by_targets]
    values = {value.name: value for value in _against_float(entry, to_float, seed)}
    if entry.by_targets is not None:
        values |= {value.name: value for value in _against_targets(entry, entry.by_targets, by_targets, seed)}
    return [values[figure.name] for figure in figures]


def _against_float(entry: _Entry, figures: Sequence[TaskFigure], seed: int) -> list[TaskValue]:
    """Return the figures of the quantized model with the float model as the reference."""
    scorer = entry.to_float
    point = scorer.values(np.ones((1, entry.samples), np.int64))
    intervals = bootstrap(scorer.values, entry.samples, scorer.resamples, seed) if figures else {}
    results = []
    for figure in figures:
        value = _number(point[figure.name])
        interval, method = intervals[figure.name], "bootstrap"
        if figure.is_share and value is not None:
            interval, method = wilson(int(_hits(scorer).sum()), entry.samples), "wilson"
        loss = None if value is None or figure.best is None else abs(figure.best - value)
        results.append(_value(entry, figure, "float", value, interval, method, loss=loss))
    return results


def _against_targets(
    entry: _Entry, scorers: tuple[Scorer, Scorer], figures: Sequence[TaskFigure], seed: int
) -> list[TaskValue]:
    """Return the figures of both models with the targets as the reference; the interval is that of the loss."""
    signs = {figure.name: 1.0 if figure.higher_is_better else -1.0 for figure in figures}

    def losses(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        before, after = (scorer.values(counts) for scorer in scorers)
        return {name: sign * (before[name] - after[name]) for name, sign in signs.items()}

    point = np.ones((1, entry.samples), np.int64)
    before, after = (scorer.values(point) for scorer in scorers)
    intervals = bootstrap(losses, entry.samples, scorers[0].resamples, seed) if figures else {}
    results = []
    for figure in figures:
        float_value, value = _number(before[figure.name]), _number(after[figure.name])
        interval, method = intervals[figure.name], "bootstrap"
        if figure.is_share and value is not None:
            first, second = map(_hits, scorers)
            pairs = MatchedPairs(entry.samples, int((first & ~second).sum()), int((second & ~first).sum()))
            low, high = pairs.interval()
            interval, method = (-high, -low), "matched_pairs"
        loss = None if value is None or float_value is None else signs[figure.name] * (float_value - value)
        results.append(_value(entry, figure, "labels", value, interval, method, loss=loss, float_value=float_value))
    return results


def _hits(scorer: Scorer) -> NDArray[np.bool_]:
    """Return the samples that count in a figure that is a share of them, shape (samples,)."""
    assert isinstance(scorer, ShareScorer), "metrics with such a figure have such a scorer"
    return scorer.hits()


def _value(
    entry: _Entry,
    figure: TaskFigure,
    reference: str,
    value: float | None,
    interval: Interval | None,
    method: str,
    *,
    loss: float | None,
    float_value: float | None = None,
) -> TaskValue:
    shown = interval if value is not None else None
    return _empty(entry, figure).model_copy(
        update={
            "reference": reference,
            "value": value,
            "float_value": float_value,
            "loss": loss,
            "low": None if shown is None else shown[0],
            "high": None if shown is None else shown[1],
            "interval": None if shown is None else method,
            "reason": NOT_FINITE if value is None else None,
        }
    )


def _empty(entry: _Entry, figure: TaskFigure) -> TaskValue:
    """Return a figure without a value."""
    return TaskValue(
        name=figure.name,
        metric=entry.metric.name,
        output=entry.outputs[0],
        reference="float",
        unit=figure.unit,
        better="higher" if figure.higher_is_better else "lower",
        samples=entry.samples,
        value=None,
        reason=entry.reason,
    )


def _number(values: NDArray[np.float64]) -> float | None:
    """Return the only figure; None where it is not finite."""
    return float(values[0]) if np.isfinite(values[0]) else None
