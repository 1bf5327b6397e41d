"""The interface of metrics of tasks, and the sums over samples that most of them need.

A metric decodes the outputs of a sample, such as a text or a list of boxes, and scores it against a reference. The
reference is the sample's target, or the float model's outputs. A scorer keeps what the figures need of each sample, so
that they can be formed again for any multiplicities of the samples, as the bootstrap does.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from quant.errors import InputMismatch
from quant.methods.plug_in import PlugIn
from quant.outcome.task_figures import TaskFigure

Values = Mapping[str, NDArray[np.float64]]
"""Figures by their name, each of shape (resamples,); NaN where a figure cannot be formed."""


class Scorer(ABC):
    """The scores of samples, from which figures are formed."""

    resamples: ClassVar[int] = 1000
    """The resamples of the samples that the bootstrap draws."""

    @abstractmethod
    def add(self, prediction: Any, reference: Any) -> None:
        """Add the decoded outputs of one sample and its reference."""

    @abstractmethod
    def values(self, counts: NDArray[np.int64]) -> Values:
        """Return the figures of the samples with multiplicities.

        Args:
            counts: how often each sample counts, shape (resamples, samples).
        """


class ShareScorer(Scorer):
    """A scorer of a figure that is a share of the samples."""

    @abstractmethod
    def hits(self) -> NDArray[np.bool_]:
        """Return True for each sample that counts in this figure, shape (samples,)."""


class SampleSums(Scorer):
    """Scores that are sums over the samples: a row of numbers for each sample."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float64]] = []

    @abstractmethod
    def row(self, prediction: Any, reference: Any) -> Sequence[float] | NDArray[np.float64]:
        """Return the numbers of one sample, shape (columns,); missing columns at the end are zero."""

    @abstractmethod
    def figures_of(self, sums: NDArray[np.float64]) -> Values:
        """Return the figures of sums over the rows, shape (resamples, columns)."""

    def add(self, prediction: Any, reference: Any) -> None:
        """Add the row of one sample."""
        self._rows.append(np.asarray(self.row(prediction, reference), np.float64))

    def values(self, counts: NDArray[np.int64]) -> Values:
        """Return the figures of the weighted sums of the rows."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.figures_of(counts.astype(np.float64) @ self.rows())

    def rows(self) -> NDArray[np.float64]:
        """Return the rows of all samples, shape (samples, columns)."""
        columns = max(len(row) for row in self._rows)
        return np.stack([np.pad(row, (0, columns - len(row))) for row in self._rows])


class MetricBase(PlugIn):
    """A metric of a task, with its options. See docs/methods.md, 'Metrics of tasks'."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    figures: ClassVar[tuple[TaskFigure, ...]]
    """The figures that it measures."""
    name: str
    output: str | None = None
    """The output that it measures; null for the first one."""

    def read_outputs(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the outputs that it reads, the one whose targets it takes first.

        Raises:
            InputMismatch: the model has no such output.
        """
        return (require_output(self.output, names, self.name),)

    @abstractmethod
    def decode(self, outputs: Sequence[NDArray[Any]]) -> Any:
        """Return the prediction of one sample from its outputs, without the axis of samples.

        Raises:
            InputMismatch: the outputs do not have the layout of the task.
        """

    @abstractmethod
    def target(self, values: NDArray[Any]) -> Any:
        """Return the reference of one sample from its target.

        Raises:
            InputMismatch: the target does not have the layout of the task.
        """

    def reference(self, prediction: Any) -> Any:
        """Return the reference that the float model's prediction gives."""
        return prediction

    @abstractmethod
    def scorer(self) -> Scorer:
        """Return a scorer without samples."""


def require_output(name: str | None, names: Sequence[str], metric: str) -> str:
    """Return the name, or that of the first output if it is None.

    Raises:
        InputMismatch: the model has no output of this name.
    """
    if name is None:
        return names[0]
    if name not in names:
        raise InputMismatch(f"metric {metric}: the model has no output {name!r}; accepted: {', '.join(names)}")
    return name


def require_rank(metric: str, values: NDArray[Any], *ranks: int, axes: str) -> None:
    """Raise unless the values of a sample have one of these ranks.

    Raises:
        InputMismatch: they have another rank.
    """
    if values.ndim not in ranks:
        raise InputMismatch(
            f"metric {metric}: a sample of the output has shape {list(values.shape)}; accepted: {axes}; "
            "name another output in evaluation.metrics"
        )


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities along the last axis; log-probabilities and logits give the same."""
    values = logits.astype(np.float64)
    shifted = values - values.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised
