"""Every loop, compiled or loaded from the cache before it is needed."""

import numpy as np

from quant import loops
from quant.clipping.auto import Auto
from quant.clipping.mae import Mae
from quant.distributions.compiled import ks_distances
from quant.expected_error import expected_error
from quant.granularity import PerChannel
from quant.grids.kmeans import KMeans
from quant.grids.uniform import Uniform
from quant.histogram import Histogram
from quant.parts import quantize_as_it_lies
from quant.registry import DISTRIBUTIONS
from quant.selection import select
from quant.statistics import summarise


def load_all() -> None:
    """Send a small weight through every loop: too few rows for more than this thread."""
    weight = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)
    for axis in (0, 1):
        quantize_as_it_lies(weight, PerChannel(axis), 4)
    statistics = summarise(weight, compiled=True)
    fit = select(statistics, tuple(DISTRIBUTIONS), "aic")
    bound = np.minimum(Auto().bound(statistics, fit, 4), Mae().bound(statistics, fit, 4))
    expected_error(fit, Uniform().build(statistics, fit, bound, 4))
    KMeans().build(statistics, fit, bound, 4)
    ks_distances(fit.candidates[0].fitted, statistics)
    rows, errors, inputs = np.zeros(weight.shape, np.intp), np.empty((1, 4)), np.ones((1, 300))
    grid = np.ones((1, 1), np.float32), np.float32(7)
    loops.run("nearest:nearest_errors", 4, weight, rows, inputs, inputs, *grid, errors)
    Histogram().add(weight.reshape(-1), float(abs(weight).max()))
