"""The cache contains every loop that a job needs, each for one type of arguments."""

import importlib
import pkgutil
import subprocess
import sys

import numpy as np

from quant import kernel
from quant.methods.clipping.auto import Auto
from quant.methods.clipping.mae import Mae
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import DISTRIBUTIONS
from quant.warm_up import load_all
from tests.quant.kernel.rows import weights


def test_every_loop_is_compiled_for_one_type_of_arguments_only():
    load_all()  # what `make install` does: a job must find all that it needs
    weight = weights(300)
    weight.flags.writeable = False
    for rows in (weight, weight[:, :100], weight[:30].reshape(1, -1), np.tile(weight[0], 2000)[None], weight.T):
        statistics = summarise(rows, compiled=True)
        fit = select(statistics, tuple(DISTRIBUTIONS), "ks")
        book = Uniform().build(statistics, fit, Auto().bound(statistics, fit, 4), 4)
        expected_error(fit, book)
        Mae().bound(statistics, fit, 4)
        KMeans().build(statistics, fit, statistics.max_abs, 4)
    modules = [
        importlib.import_module(f"quant.kernel.{module.name}") for module in pkgutil.iter_modules(kernel.__path__)
    ]
    loops = {value for module in modules for value in vars(module).values() if hasattr(value, "signatures")}
    cached = [loop for loop in loops if loop.targetoptions.get("nogil") and loop._cache.cache_path]
    assert cached
    assert {loop.py_func.__name__: len(loop.signatures) for loop in cached if len(loop.signatures) != 1} == {}


def test_the_next_process_finds_every_loop_beside_its_source():
    load_all()
    call = [sys.executable, "-m", "quant.warm_up"]
    log = subprocess.run(call, env={"NUMBA_DEBUG_CACHE": "1"}, capture_output=True, text=True, check=True).stdout
    assert f"data loaded from '{kernel.__path__[0]}" in log
    assert "data saved" not in log
