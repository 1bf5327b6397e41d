"""The speed of the statistics: fits of four families, selection and clip bounds, beside scipy's fits and np.sum.

    python benchmarks/fitting.py [--runs 5] [--json FILE]

The weights have the shapes of ResNet18 (11.7 million, 4,800 channels) and ResNet50 (25.5 million, 26,560 channels).
Figures are medians of several runs in one process; scipy is timed on a sample of channels and extrapolated.
"""

import argparse
import json
import statistics as stats
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from quant.methods.clipping.mae import Mae
from quant.methods.clipping.mse import Mse
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise

FAMILIES = ("gaussian", "laplace", "student_t", "generalized_gaussian")
SCIPY = (scipy_stats.norm, scipy_stats.laplace, scipy_stats.t, scipy_stats.gennorm)
SCIPY_CHANNELS = 6
Weights = NDArray[np.float32]


def resnet(blocks: tuple[int, ...], bottleneck: bool) -> list[Weights]:
    """Return heavy-tailed random weights (channels, fan-in) for every convolution and the classifier."""
    random = np.random.default_rng(0)
    shapes, width = [(64, 147)], 64
    for stage, count in enumerate(blocks):
        planes = 64 << stage
        for block in range(count):
            if bottleneck:
                shapes += [(planes, width), (planes, 9 * planes), (4 * planes, planes)]
            else:
                shapes += [(planes, 9 * width), (planes, 9 * planes)]
            out = planes * (4 if bottleneck else 1)
            if block == 0 and width != out:
                shapes.append((out, width))
            width = out
    shapes.append((1000, width))
    return [(random.standard_t(5, size=shape) * 0.05).astype(np.float32) for shape in shapes]


def fit_all(layers: list[Weights], bits: int, compiled: bool = True) -> None:
    for rows in layers:
        summary = summarise(rows, compiled)
        fit = select(summary, FAMILIES, "aic")
        Mae().bound(summary, fit, bits)
        Mse().bound(summary, fit, bits)


def timed(call: Callable[[], Any], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return stats.median(seconds)


def scipy_seconds(layers: list[Weights], per_layer: bool) -> float:
    """Return the seconds of scipy's four fits, extrapolated from a few channels of each width or 100,000 weights."""
    total = 0.0
    for rows in layers:
        sample = [rows.ravel()[:100_000]] if per_layer else list(rows[:: max(len(rows) // 2, 1)][:2])
        begun = time.perf_counter()
        for weights in sample:
            for family in SCIPY:
                family.fit(weights.astype(np.float64))
        spent = time.perf_counter() - begun
        total += spent * (rows.size / sample[0].size if per_layer else len(rows) / len(sample))
    return total


def peak_bytes(layers: list[Weights]) -> int:
    """Return the peak memory that NumPy allocated beyond the weights, in megabytes."""
    tracemalloc.start()
    fit_all(layers, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure(name: str, layers: list[Weights], runs: int) -> list[dict[str, Any]]:
    rows = []
    floor = timed(lambda: [np.sum(layer) for layer in layers], runs)
    for per_layer in (False, True):
        shaped = [layer.reshape(1, -1) for layer in layers] if per_layer else layers
        row: dict[str, Any] = {"weights": name, "granularity": "layer" if per_layer else "channel"}
        row["channels"] = sum(len(layer) for layer in shaped)
        fit_all(shaped[:1], 4)  # loads the loops
        for path, compiled in (("numpy", False), ("compiled", True)):
            one_pass = partial(summarise, compiled=compiled)
            row[f"{path}_pass_to_sum"] = timed(lambda f=one_pass, shaped=shaped: [f(x) for x in shaped], runs) / floor
        for bits in (4, 8):
            row[f"seconds_{bits}_bits"] = timed(lambda shaped=shaped, bits=bits: fit_all(shaped, bits), runs)
        row["scipy_seconds"] = scipy_seconds(layers, per_layer)
        row["times_faster_4_bits"] = row["scipy_seconds"] / row["seconds_4_bits"]
        row["peak_mb_beyond_largest_layer"] = (peak_bytes(shaped) - max(layer.nbytes for layer in layers)) / 2**20
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = measure("ResNet18-shaped", resnet((2, 2, 2, 2), bottleneck=False), options.runs)
    rows += measure("ResNet50-shaped", resnet((3, 4, 6, 3), bottleneck=True), options.runs)
    for key in rows[0]:
        print(
            f"{key:32}" + "".join(f"{v if isinstance(v, str) else round(v, 3):>18}" for v in (row[key] for row in rows))
        )
    print(json.dumps(rows))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
