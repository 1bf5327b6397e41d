"""Non-uniform levels at 4 to 8 bits (anonymous submission, "Post-Training Non-Uniform Quantization for CNNs").

Lloyd-Max levels of a Gaussian or a Laplace distribution, chosen by the Kolmogorov-Smirnov distance, are compared with
uniform levels with ACIQ's bound, additive powers of two and exact k-means. The equations of the publication have
errors; the corrected ones are used.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.plots import lines
from benchmarks.evidence.runs import TITLES, bench, difference
from benchmarks.evidence.study import Row, Table, environment_of, table
from quant.methods.clipping.mse import Mse
from quant.methods.grids.kmeans import kmeans_levels
from quant.methods.grids.lloyd_max import LloydMax
from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.quantize import fit_weight

KEYS = ("network", "images", "bits", "granularity", "method")
SPEC = resolve(
    {"preset": "int4-weights", "weights": {"distributions": ["gaussian", "laplace"], "selection": "ks"}}
).weights
ITERATIONS = 60
METHODS = ("Lloyd-Max", "uniform (ACIQ)", "APoT", "k-means")
PUBLISHED = {
    "Lloyd-Max": (79.42, 81.96, 82.43, 82.53, 82.46),
    "uniform (ACIQ)": (79.87, None, None, None, 82.38),
    "APoT": (80.20, None, None, None, 82.48),
}
"""Published top-1 of ResNet20 on CIFAR-10 at 4 to 8 bits; the float network has 82.44."""


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`."""
    networks, images = (("resnet8_mlperftiny",), 500) if quick else (("resnet20_cifar10", "resnet8_mlperftiny"), 2000)
    cases = [
        (name, images, bits, granularity, method)
        for name in networks
        for granularity in ("tensor", "channel")
        for bits in ((4, 6, 8) if quick else range(4, 9))
        for method in METHODS
    ]
    Table(path, KEYS).measure(cases, _figures)


def _figures(name: str, images: int, bits: int, granularity: str, method: str) -> list[Row]:
    def change(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        together = rows.reshape(1, -1) if granularity == "tensor" else rows
        return _rounded(together, _levels(together, bits, method)).reshape(rows.shape)

    network = bench(name, images)
    file, weight_sqnr_db = network.with_weights(change)
    return [{**network.judge(file), "weight_sqnr_db": weight_sqnr_db}]


def _levels(rows: NDArray[np.float32], bits: int, method: str) -> NDArray[np.float64]:
    """Return the levels of each row, ascending."""
    fitted = fit_weight(rows, PerChannel(0), SPEC)
    statistics, fit, largest = fitted.statistics, fitted.fit, fitted.statistics.max_abs
    if method == "Lloyd-Max":
        return LloydMax().build(statistics, fit, largest, bits).levels
    if method == "k-means":
        starts = kmeans_levels(statistics, 2**bits), LloydMax().build(statistics, fit, largest, bits).levels
        return np.stack([_kmeans(row, pair) for row, *pair in zip(rows, *starts, strict=True)])
    bound = Mse().bound(statistics, fit, bits)[:, None]
    if method == "APoT":
        return bound * _apot(bits)
    most = 2 ** (bits - 1) - 1
    return bound * np.arange(-most, most + 1) / most


def _kmeans(row: NDArray[np.float32], starts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the best levels that Lloyd's iterations on the weights themselves reach from several starts."""
    values = np.sort(row).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    results = []
    for levels in starts:
        for _ in range(ITERATIONS):
            ends = np.concatenate([[0], np.searchsorted(values, (levels[1:] + levels[:-1]) / 2), [len(values)]])
            counts = np.diff(ends)
            levels = np.sort(np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), levels))
        error = np.square(_rounded(values[None], levels[None]) - values).sum()
        results.append((error, levels))
    return min(results, key=lambda result: result[0])[1]


def _apot(bits: int) -> NDArray[np.float64]:
    """Return the levels of additive powers of two, the outermost -1 and 1 (Li, Dong and Wang 2020, eq. 5).

    A magnitude is a sum of terms, each of 2 bits; where the bits are even, the last term has 1 bit.
    """
    terms = bits // 2
    sizes = [4] * terms if bits % 2 else [4] * (terms - 1) + [2]
    sets = [
        [0.0, *(2.0 ** -(number + 1 + terms * step) for step in range(size - 1))] for number, size in enumerate(sizes)
    ]
    magnitudes = np.unique([sum(parts) for parts in product(*sets)])
    return np.concatenate([-magnitudes[:0:-1], magnitudes]) / magnitudes[-1]


def _rounded(rows: NDArray[Any], levels: NDArray[np.float64]) -> NDArray[Any]:
    """Return the level nearest to each weight."""
    middles = (levels[:, 1:] + levels[:, :-1]) / 2
    rounded = [own[np.searchsorted(ends, row)] for row, own, ends in zip(rows, levels, middles, strict=True)]
    return np.stack(rounded).astype(rows.dtype)


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    parts = [INTRODUCTION.format(environment=environment_of(path)), "![accuracy by bits](non_uniform.svg)"]
    for name in dict.fromkeys(str(row["network"]) for row in rows):
        chosen = [row for row in rows if row["network"] == name]
        title = f"{TITLES[name]} ({chosen[0]['samples']} images, float {chosen[0]['top1_float']:.2f})"
        cells = [
            (
                "layer" if row["granularity"] == "tensor" else "channel", row["bits"], row["method"],
                f"{row['top1']:.2f}", difference(row), f"{row['sqnr_db']:.1f}", f"{row['weight_sqnr_db']:.1f}",
                _published(row),
            )
            for row in chosen
        ]  # fmt: skip
        header = (
            "levels for each",
            "bits",
            "levels",
            "top-1",
            "difference",
            "SQNR",
            "SQNR of the weights",
            "published",
        )
        parts += [f"## {title}", table(header, cells)]
    return "\n\n".join(parts) + "\n"


def _published(row: dict[str, Any]) -> str:
    if row["network"] != "resnet20_cifar10" or row["granularity"] != "tensor" or row["method"] not in PUBLISHED:
        return ""
    value = PUBLISHED[row["method"]][row["bits"] - 4]
    return "" if value is None else f"{value:.2f} ({value - 82.44:+.2f})"


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file: the difference of accuracy by bits, one table a layer."""
    rows = [row for row in Table(path, KEYS).rows() if row["granularity"] == "tensor"]
    first = rows[0]["network"]
    groups = {
        method: tuple(
            np.array([float(row[key]) for row in rows if row["method"] == method and row["network"] == first])
            for key in ("bits", "points")
        )
        for method in METHODS
    }
    lines(path.with_suffix(".svg"), groups, "bits", f"difference of top-1 in points, {TITLES[str(first)]}")


INTRODUCTION = """# Non-uniform levels

Lloyd-Max levels of a Gaussian or a Laplace distribution (the one with the smaller Kolmogorov-Smirnov distance), beside
uniform levels between the bounds of least expected squared error (ACIQ), additive powers of two and the k-means of the
weights (Lloyd's iterations from the better of two starts). Weights alone are quantized and rounded to nearest, without
any data. The published network is another ResNet20, so its differences from float are compared, in parentheses.
Differences are in percentage points, with 95 % intervals; SQNR is in dB. Measured on: {environment}."""
