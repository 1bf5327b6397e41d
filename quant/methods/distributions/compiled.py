"""Fits and criteria through the compiled loops, for row statistics that ask for them."""

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fitted import FittedFamily, Rows
from quant.methods.distributions.sample import FIT_OCTAVES, fit_bins_per_octave
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics


def fit_rows(family: str, statistics: RowStatistics) -> tuple[Rows, Rows, Rows]:
    """Return the maximum-likelihood location, scale and shape (R,); the shape is 1 for a family without one."""
    number = len(statistics.count)
    location, scale, shape = np.zeros(number), np.ones(number), np.ones(number)
    bins_per_octave = fit_bins_per_octave(statistics)
    width, merged = FIT_OCTAVES * bins_per_octave, (1 << MANTISSA_BITS) // bins_per_octave
    dispatch.run(
        "fits:fit_rows", number, dispatch.FAMILIES.index(family), statistics.rows, statistics.exact_points,
        statistics.counts, statistics.edges, statistics.unit, statistics.degenerate, width, merged, location, scale,
        shape,
    )  # fmt: skip
    return location, scale, shape


def log_likelihoods(fitted: FittedFamily, statistics: RowStatistics) -> Rows:
    """Return the log-likelihood (R,) of each row's non-zero weights in nats, from the bins of long rows."""
    likelihood = np.empty(len(statistics.count))
    dispatch.run(
        "fits:log_likelihoods", len(likelihood), *loop_arguments(fitted), statistics.rows, statistics.exact_points,
        statistics.counts, statistics.edges, likelihood,
    )  # fmt: skip
    return likelihood


def ks_distances(fitted: FittedFamily, statistics: RowStatistics) -> Rows:
    """Return the largest gap (R,) between the empirical and the fitted distribution at the edges of the bins."""
    distance = np.empty(len(statistics.count))
    arguments = (*loop_arguments(fitted), statistics.counts, statistics.edges, distance)
    dispatch.run("fits:ks_distances", len(distance), *arguments)
    return distance


def loop_arguments(fitted: FittedFamily) -> tuple[int, Rows, Rows, Rows]:
    """Return the family's number in the loops, and the location, scale and shape (R,) of its fit."""
    return dispatch.FAMILIES.index(fitted.family), fitted.location, fitted.scale, fitted.shape_for(fitted.scale)
