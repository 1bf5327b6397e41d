"""The warm-up of the compiled loops, by one small call of each.

`python -m quant.warm_up` compiles all loops into the cache. A process that imports this module and calls `load_all` has
them in memory.
"""

import numpy as np

from quant.calibration.histogram import Histogram
from quant.kernel import dispatch
from quant.kernel.cache import complete
from quant.methods.clipping.auto import Auto
from quant.methods.clipping.mae import Mae
from quant.methods.distributions.compiled import ks_distances
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.expected_error import expected_weight_error
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import DISTRIBUTIONS
from quant.weights.block_grids import search_grids
from quant.weights.chunked import quantize_contiguous
from quant.weights.granularity import PerChannel


def load_all() -> None:
    """Run every loop once on a small weight.

    It has too few rows to be divided among threads: a process that forks later must not have started any.
    """
    weight = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)
    for axis in (0, 1):
        quantize_contiguous(weight, PerChannel(axis), 4)
    statistics = summarise(weight, compiled=True)
    fit = select(statistics, tuple(DISTRIBUTIONS), "aic")
    bound = np.minimum(Auto().bound(statistics, fit, 4), Mae().bound(statistics, fit, 4))
    expected_weight_error(statistics, fit, Uniform().build(statistics, fit, bound, 4))
    KMeans().build(statistics, fit, bound, 4)
    ks_distances(fit.candidates[0].fitted, statistics)
    rows, errors, inputs = np.zeros(weight.shape, np.intp), np.empty((1, 4)), np.ones((1, 300))
    grid = np.ones((1, 1), np.float32), np.float32(7)
    dispatch.run("nearest:nearest_errors", 4, weight, rows, inputs, inputs, *grid, errors)
    search_grids(weight, np.ones(300), 4, zero_points=True, clips=True, compiled=True)
    Histogram().add(weight.reshape(-1), float(abs(weight).max()))


if __name__ == "__main__":
    load_all()
    complete()
