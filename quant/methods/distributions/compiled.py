"""Fits and their figures through the compiled loops, for statistics that ask for them."""

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fitted import Fitted, Rows
from quant.methods.distributions.sample import FIT_OCTAVES, bins_an_octave
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics


def fit_rows(family: str, statistics: RowStatistics) -> tuple[Rows, Rows, Rows]:
    """Location, scale and shape (R,) of greatest likelihood; the shape is 1 where the family has none."""
    number = len(statistics.count)
    location, scale, shape = np.zeros(number), np.ones(number), np.ones(number)
    fine = bins_an_octave(statistics)
    width, merged = FIT_OCTAVES * fine, (1 << MANTISSA_BITS) // fine
    dispatch.run(
        "fits:fit_rows", number, dispatch.FAMILIES.index(family), statistics.rows, statistics.few, statistics.counts,
        statistics.edges, statistics.unit, statistics.degenerate, width, merged, location, scale, shape,
    )  # fmt: skip
    return location, scale, shape


def log_likelihoods(fitted: Fitted, statistics: RowStatistics) -> Rows:
    """The log-likelihood (R,) of each row's non-zero weights, from their bins where they are many."""
    likelihood = np.empty(len(statistics.count))
    dispatch.run(
        "fits:log_likelihoods", len(likelihood), *loop_arguments(fitted), statistics.rows, statistics.few,
        statistics.counts, statistics.edges, likelihood,
    )  # fmt: skip
    return likelihood


def ks_distances(fitted: Fitted, statistics: RowStatistics) -> Rows:
    """The largest gap (R,) between empirical and fitted distribution at the edges of the bins."""
    distance = np.empty(len(statistics.count))
    arguments = (*loop_arguments(fitted), statistics.counts, statistics.edges, distance)
    dispatch.run("fits:ks_distances", len(distance), *arguments)
    return distance


def loop_arguments(fitted: Fitted) -> tuple[int, Rows, Rows, Rows]:
    """What a loop needs of a family's fit: its number, location, scale and shape (R,)."""
    return dispatch.FAMILIES.index(fitted.family), fitted.location, fitted.scale, fitted.shape_for(fitted.scale)
