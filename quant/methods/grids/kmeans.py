"""The grid of least squared error on the weights themselves."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from quant.kernel import dispatch
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import Sample, sample
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook, Rows
from quant.methods.grids.intervals import optimal_levels
from quant.methods.grids.shared_tables import shared_levels

ROWS_AT_ONCE = 64
"""Rows whose tables of interval costs are held in memory at once."""
OCTAVES = 7
"""Octaves of the histogram below the row's largest |w| that the levels are placed on."""


class KMeans(GridBase):
    """2^bits levels of least squared error on the row's own histogram, by exact dynamic programming.

    The levels are the means of the partition of the weights, zeros included, into 2^bits intervals that minimises

        sum_i sum_(w in interval i) (w - mean_i)^2

    (Wang and Song, 2011). See docs/methods.md, 'Grids and expected error'.
    """

    name: Literal["kmeans"] = "kmeans"
    widths: ClassVar[range] = range(2, 6)
    from_weights: ClassVar[bool] = True
    tables: Literal["row", "layer"] | Annotated[int, Field(ge=2, le=1 << 16)] = Field(
        default="row",
        description="the rows that share a table of levels, each with a scale of its own: one row, all rows of the "
        "layer, or this many consecutive rows (the largest divisor of the number of rows that is no larger)",
    )

    @property
    def by_row(self) -> bool:
        """True if every row has levels of its own."""
        return self.tables == "row"

    def rows_per_table(self, rows: int) -> int:
        """Return how many of the layer's rows share a table."""
        if isinstance(self.tables, str):
            return 1 if self.tables == "row" else rows
        return next(number for number in range(min(self.tables, rows), 0, -1) if rows % number == 0)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Return levels (R, 2^bits); a row of fewer different weights repeats some. The bound is ignored."""
        rows_per_table = self.rows_per_table(len(statistics.rows))
        if rows_per_table > 1:
            return Codebook.from_levels(shared_levels(statistics.rows, 2**bits, rows_per_table))
        return Codebook.from_levels(kmeans_levels(statistics, 2**bits))


def kmeans_levels(statistics: RowStatistics, count: int) -> Rows:
    """Return the levels (R, count), ascending, of least squared error on each row; zeros for a row of zeros."""
    levels = _compiled_levels(statistics, count) if statistics.compiled else _levels(statistics, count)
    return np.where(statistics.max_abs[:, None] > 0, levels, 0.0)


def _compiled_levels(statistics: RowStatistics, count: int) -> Rows:
    """Return the levels (R, count) from a compiled loop."""
    levels = np.empty((len(statistics.count), count))
    dispatch.run(
        "kmeans:optimal_levels", len(levels), statistics.rows, statistics.exact_points, statistics.counts,
        statistics.edges, statistics.unit, statistics.degenerate, _zero_shares(statistics), OCTAVES << MANTISSA_BITS,
        1, levels,
    )  # fmt: skip
    return levels


def _levels(statistics: RowStatistics, count: int) -> Rows:
    """Return the levels (R, count), some rows at a time."""
    points = _with_zeros(sample(statistics, OCTAVES, 1 << MANTISSA_BITS), _zero_shares(statistics))
    parts = [
        optimal_levels(points.select_rows(np.arange(start, min(start + ROWS_AT_ONCE, len(points.unit)))), count)
        for start in range(0, len(points.unit), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) * points.unit[:, None]


def _zero_shares(statistics: RowStatistics) -> Rows:
    """Return the share (R,) of each row's weights that are zero; 0 for a row whose weights are all equal."""
    return np.where(statistics.degenerate, 0.0, statistics.zeros / statistics.count)


def _with_zeros(points: Sample, shares: Rows) -> Sample:
    """Return the sample with these shares (R,) of zeros; a row without zeros repeats its largest point."""
    zeros = np.where(shares > 0, 0.0, points.points[:, -1])[:, None]
    extended = np.concatenate([points.points, zeros], axis=1)
    masses = np.concatenate([points.shares * (1 - shares)[:, None], shares[:, None]], axis=1)
    order = extended.argsort(axis=1, kind="stable")
    ascending, masses = (np.take_along_axis(array, order, axis=1) for array in (extended, masses))
    return Sample(ascending, masses, points.unit)
