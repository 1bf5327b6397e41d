"""Results do not depend on the number of threads."""

import numpy as np

from quant.kernel import compile as compilation
from quant.methods.clipping.auto import Auto
from tests.quant.kernel.rows import fitted


def test_results_are_the_same_bytes_whatever_the_threads(monkeypatch):
    results = []
    for threads, least in ((2, 4), (1, 1 << 20)):
        monkeypatch.setattr(compilation, "THREADS", threads)
        monkeypatch.setattr(compilation, "LEAST_ROWS", least)
        statistics, fit = fitted(300, True)
        bound = Auto().bound(statistics, fit, 8)
        results.append([statistics.counts, statistics.sum, fit.candidates[2].fitted.shape, bound])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
