"""Regression: errors of values in their own unit."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch
from quant.methods.metrics.base import MetricBase, SampleSums, Values
from quant.outcome.task_figures import MEAN_ABSOLUTE_ERROR, R_SQUARED, ROOT_MEAN_SQUARE_ERROR, TaskFigure

MAX_COLUMNS = 1024
"""The most columns that have a mean each; an output with more is one column."""


class Regression(MetricBase):
    """Mean absolute error, root mean square error and R² of values; targets have the shape of the output."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (MEAN_ABSOLUTE_ERROR, ROOT_MEAN_SQUARE_ERROR, R_SQUARED)
    name: Literal["regression"] = "regression"

    def decode(self, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the values, whose last axis are the columns."""
        return outputs[0].astype(np.float64)

    def target(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the right values."""
        if values.dtype.kind not in "fiub":
            raise InputMismatch(f"metric {self.name}: the targets are {values.dtype}; accepted: numbers")
        return values.astype(np.float64)

    def scorer(self) -> "ValueErrors":
        """Return a scorer without samples."""
        return ValueErrors()


class ValueErrors(SampleSums):
    """A row holds finite values, absolute and squared errors, then the number, sum and squares of each column."""

    def row(self, prediction: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the row of one sample.

        Raises:
            InputMismatch: prediction and reference differ in the number of values.
        """
        if prediction.size != reference.size:
            raise InputMismatch(
                f"metric regression: a target has shape {list(reference.shape)}; accepted: {list(prediction.shape)}"
            )
        columns = prediction.shape[-1] if prediction.ndim and prediction.shape[-1] <= MAX_COLUMNS else 1
        x, y = (values.reshape(-1, columns) for values in (prediction, reference))
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(finite, x, 0), np.where(finite, y, 0)
        error = x - y
        columns_sums = np.stack([finite.sum(axis=0), y.sum(axis=0), (y**2).sum(axis=0)], axis=1)
        return np.concatenate([[finite.sum(), np.abs(error).sum(), (error**2).sum()], columns_sums.reshape(-1)])

    def figures_of(self, sums: NDArray[np.float64]) -> Values:
        """Return MAE, RMSE, and R² about the means of the columns; NaN where no pair of values is finite."""
        count, absolute, square = (np.where(sums[:, 0] > 0, sums[:, column], np.nan) for column in range(3))
        rows, totals, squares = (sums[:, 3 + part :: 3] for part in range(3))
        variance = (squares - totals**2 / np.maximum(rows, 1)).sum(axis=1)
        scale = squares.sum(axis=1)
        # a difference of equal sums leaves only rounding: a constant reference has no R²
        varies = variance > 1e-12 * scale
        return {
            MEAN_ABSOLUTE_ERROR.name: absolute / count,
            ROOT_MEAN_SQUARE_ERROR.name: np.sqrt(square / count),
            R_SQUARED.name: np.where(varies, 1 - square / np.where(varies, variance, 1), np.nan),
        }
