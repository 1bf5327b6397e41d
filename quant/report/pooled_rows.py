"""Rows of a weight, each divided by its own clip bound and pooled, with their weights and their fits in fine bins."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.fit import FamilyFit, Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.outcome.report.picture import MAX_BINS
from quant.weights.quantize import FittedWeight

MAX_ROWS = 128
"""The most rows that are pooled. From the rows of a layer of ResNet50, the pooled mean squared error then differs by
some per cent from that of all rows."""
MAX_WEIGHTS = 1 << 18
"""The most weights that are pooled."""
PARTS = 4
"""Fine bins in a bin of the histogram."""
REACH = 4.0
"""The largest multiple of the bound that bins of equal width cover; the bins beyond it grow."""
OUTER_BINS = 32
"""Growing bins on either side, where a weight lies beyond `REACH`."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PooledRows:
    """K rows of a weight in units of their clip bound, evenly chosen among all rows.

    Attributes:
        numbers: Numbers of the rows (K,).
        bound: Clip bound of each row (K,), above zero, in the weight's unit.
        statistics: Statistics of the rows, over all their weights.
        fit: The fits of the rows.
        candidates: The fit of each family to the rows.
        values: Weights (K, m) divided by the row's bound, evenly chosen among the weights of a row.
    """

    numbers: NDArray[np.intp]
    bound: Floats
    statistics: RowStatistics
    fit: Fit
    candidates: tuple[FamilyFit, ...]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, fitted: FittedWeight, clip: Floats, most: int = MAX_ROWS) -> "PooledRows | None":
        """Return at most `most` rows that hold a weight other than zero; None if there are none.

        Args:
            fitted: The weight with its rows and their fits.
            clip: Clip bound of each of its rows (R,), in the weight's unit.
            most: The most rows.
        """
        usable = np.flatnonzero((clip > 0) & (fitted.statistics.nonzero > 0))
        if not usable.size:
            return None
        count = min(most, usable.size)
        numbers = usable[np.arange(count) * usable.size // count]
        whole = count == len(clip)
        statistics = fitted.statistics if whole else fitted.statistics.select_rows(numbers)
        stride = math.ceil(statistics.rows.size / MAX_WEIGHTS)
        values = np.divide(statistics.rows[:, ::stride], clip[numbers][:, None], dtype=np.float32)
        fit = fitted.fit if whole else replace(fitted.fit.select_rows(numbers), compiled=fitted.fit.compiled)
        candidates = fitted.fit.candidates if whole else tuple(_selected(c, numbers) for c in fitted.fit.candidates)
        return cls(numbers, clip[numbers], statistics, fit, candidates, values)

    def select_rows(self, rows: NDArray[np.intp]) -> "PooledRows":
        """Return the rows with these places among the K rows."""
        return PooledRows(
            self.numbers[rows],
            self.bound[rows],
            self.statistics.select_rows(rows),
            replace(self.fit.select_rows(rows), compiled=self.fit.compiled),
            tuple(_selected(candidate, rows) for candidate in self.candidates),
            self.values[rows],
        )

    @cached_property
    def reach(self) -> float:
        """The end of the bins of equal width: at least 1, at most `REACH`."""
        return float(np.clip(np.abs(self.values).max(), 1.0, REACH))

    @cached_property
    def edges(self) -> Floats:
        """The edges (B + 1,) of the fine bins, which cover all weights; those within `reach` have equal widths."""
        inner = np.linspace(-self.reach, self.reach, PARTS * MAX_BINS + 1)
        largest = float((self.statistics.max_abs / self.bound).max()) * (1 + 1e-6)
        if largest <= self.reach * (1 + 1e-5):
            inner[0], inner[-1] = min(-largest, inner[0]), max(largest, inner[-1])
            return inner
        outer = np.geomspace(self.reach, largest, OUTER_BINS + 1)[1:]
        return np.concatenate([-outer[::-1], inner, outer])

    @cached_property
    def counts(self) -> Floats:
        """The non-zero pooled weights of each row in each fine bin (K, B)."""
        rows, bins = len(self.bound), len(self.edges) - 1
        outer = (bins - PARTS * MAX_BINS) // 2
        places = np.floor((self.values + self.reach) * (PARTS * MAX_BINS / (2 * self.reach))).astype(np.int32) + outer
        beyond = np.abs(self.values) >= self.reach
        if outer:
            places[beyond] = np.searchsorted(self.edges, self.values[beyond], side="right") - 1
        np.clip(places, 0, bins - 1, out=places)
        places += (np.arange(rows, dtype=np.int32) * bins)[:, None]
        numbers = places[self.values != 0]
        return np.bincount(numbers, minlength=rows * bins).reshape(rows, bins).astype(np.float64)

    @property
    def zeros(self) -> Floats:
        """The pooled weights of each row that are zero (K,)."""
        zeros: Floats = self.values.shape[1] - self.counts.sum(axis=1)
        return zeros

    @cached_property
    def probabilities(self) -> Floats:
        """The probability (K, B) of each fine bin under the fit of the row, given the row's largest |w|."""
        largest = (self.statistics.max_abs / self.bound)[:, None]
        ends = np.clip(self.edges, -largest, largest) * self.bound[:, None]
        cumulative = self.fit.cdf(ends)
        masses = np.diff(cumulative, axis=1)
        total = masses.sum(axis=1, keepdims=True)
        probabilities: Floats = np.divide(masses, total, out=np.zeros_like(masses), where=total > 0)
        return probabilities


def _selected(candidate: FamilyFit, rows: NDArray[np.intp]) -> FamilyFit:
    """Return the fit of one family to some rows, with its criteria."""
    return FamilyFit(
        candidate.fitted.select_rows(rows),
        candidate.log_likelihood[rows],
        candidate.ks[rows],
        candidate.aic[rows],
        candidate.bic[rows],
    )
