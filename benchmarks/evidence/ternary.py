"""Ternary weights (Yvinec, Dapogny et al. 2023), and four levels at two bits, with and without data."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence.plots import bars
from benchmarks.evidence.runs import TITLES, bench, difference
from benchmarks.evidence.study import Row, Table, environment_of, table

KEYS = ("network", "images", "data", "method")
MINMAX = {"clipping": "minmax"}
METHODS: dict[str, dict[str, Any]] = {
    "round to nearest, MinMax": {"grid": "uniform", **MINMAX},
    "TQuant": {"grid": "ternary_tquant", **MINMAX},
    "MQuant": {"grid": "ternary_mquant", **MINMAX},
    "TWN": {"grid": "ternary_twn", **MINMAX},
    "optimal ternary": {"grid": "ternary_optimal"},
    "four levels": {"grid": "mid_rise", "clipping": "mse"},
    "four k-means levels": {"grid": "kmeans", **MINMAX},
}
DATA = {"none": "none", "corrected": "calibrated", "error feedback": "calibrated"}
"""The correction of biases for each use of data."""
NETWORKS = ("resnet8_mlperftiny", "resnet20_cifar10", "resnet56_cifar10")


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`."""
    networks, images = (NETWORKS[:1], 500) if quick else (NETWORKS, 2000)
    cases = [(name, images, data, method) for name in networks for data in DATA for method in METHODS]
    Table(path, KEYS).measure(cases, _figures)


def _figures(name: str, images: int, data: str, method: str) -> list[Row]:
    rounding = "error_feedback" if data == "error feedback" else "nearest"
    weights = {"bits": 2, "granularity": "channel", "rounding": rounding, **METHODS[method]}
    spec = {"preset": "int4-weights", "weights": weights, "bias_correction": DATA[data], "equalization": "none"}
    return [bench(name, images).run(spec, calibrated=data != "none")]


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    parts = [INTRODUCTION.format(environment=environment_of(path)), "![accuracy by method](ternary.svg)"]
    for name in dict.fromkeys(str(row["network"]) for row in rows):
        chosen = [row for row in rows if row["network"] == name]
        header = ("data", "levels", "top-1", "difference", "SQNR in dB", "SQNR of the weights", "MAE of the weights")
        cells = [
            (
                row["data"], row["method"], f"{row['top1']:.2f}", difference(row), f"{row['sqnr_db']:.1f}",
                f"{row['weight_sqnr_db']:.2f}", row["weight_mae"],
            )
            for row in chosen
        ]  # fmt: skip
        title = f"{TITLES[name]} ({chosen[0]['samples']} images, float {chosen[0]['top1_float']:.2f})"
        parts += [f"## {title}", table(header, cells)]
    return "\n\n".join(parts) + "\n"


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file: top-1 of the first network by method and use of data."""
    rows = Table(path, KEYS).rows()
    first = rows[0]["network"]
    groups = {
        data: np.array([float(row["top1"]) for row in rows if row["data"] == data and row["network"] == first])
        for data in DATA
    }
    bars(path.with_suffix(".svg"), list(METHODS), groups, f"top-1 in percent, {TITLES[str(first)]}")


INTRODUCTION = """# Ternary weights

Three levels by the rules of TQuant and MQuant (Yvinec, Dapogny et al. 2023), by TWN (Li and Liu 2016), by rounding to
nearest between MinMax bounds and by the least expected squared error, beside four levels at the same two bits. All
weights of the network have two bits, with a scale for each channel. `none` uses no data; `corrected` corrects the
biases with 256 calibration images; `error feedback` also rounds with them. Differences are in percentage points, with
95 % intervals. Measured on: {environment}."""
