"""Clip bounds and bias correction on real networks (the table of Jonkus 2026), at 8 and 4 bits.

Weights alone are quantized, without error feedback. The analytical bound has the least expected absolute error under
the best of four fitted families. `auto` is the preset with all its defaults.
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence.plots import lines
from benchmarks.evidence.runs import TITLES, bench, difference
from benchmarks.evidence.study import Row, Table, environment_of, table

KEYS = ("network", "images", "bits", "granularity", "method")
NEAREST = {"rounding": "nearest"}
METHODS: dict[str, tuple[dict[str, Any], str]] = {
    "MinMax": ({"clipping": "minmax"}, "none"),
    "MinMax, corrected": ({"clipping": "minmax"}, "calibrated"),
    "analytical": ({"clipping": "mae"}, "none"),
    "analytical, corrected": ({"clipping": "mae"}, "calibrated"),
}
"""The options of the weights and the correction of biases of each method."""
AUTO = "auto"
PUBLISHED = "69.86 float; MinMax 69.71, corrected 69.76; analytical 67.56, corrected 68.57"


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`."""
    networks, images = (("resnet8_mlperftiny",), 500) if quick else (tuple(TITLES), 2000)
    cases = [
        (name, images, bits, granularity, method)
        for name in networks
        for bits in (8, 4)
        for granularity in ("tensor", "channel")
        for method in (*METHODS, *((AUTO,) if granularity == "channel" else ()))
    ]
    Table(path, KEYS).measure(cases, _figures)


def _figures(name: str, images: int, bits: int, granularity: str, method: str) -> list[Row]:
    spec: dict[str, Any] = {"preset": f"int{bits}-weights"}
    if method != AUTO:
        weights, correction = METHODS[method]
        spec |= {"weights": {"granularity": granularity, **NEAREST, **weights}, "bias_correction": correction}
        spec |= {"equalization": "none"}
    return [bench(name, images).run(spec, calibrated=True)]


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    parts = [INTRODUCTION.format(environment=environment_of(path), published=PUBLISHED)]
    for bits in (8, 4):
        chosen = [row for row in rows if row["bits"] == bits]
        header = ("network", "images", "float", "scale for each", "method", "top-1", "difference", "SQNR in dB", "MAE")
        cells = [
            (
                TITLES[str(row["network"])], row["samples"], f"{row['top1_float']:.2f}",
                "layer" if row["granularity"] == "tensor" else "channel", row["method"], f"{row['top1']:.2f}",
                difference(row), f"{row['sqnr_db']:.1f}", row["weight_mae"],
            )
            for row in chosen
        ]  # fmt: skip
        parts += [f"## {bits} bits", table(header, cells)]
    parts += ["## Families", _families(rows)]
    return "\n\n".join(parts) + "\n"


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file: accuracy against the error of the weights."""
    rows = [row for row in Table(path, KEYS).rows() if row["bits"] == 4 and row["granularity"] == "channel"]
    groups = {}
    for name in dict.fromkeys(str(row["network"]) for row in rows):
        chosen = sorted((row for row in rows if row["network"] == name), key=lambda row: float(row["weight_mae"]))
        groups[TITLES[name]] = tuple(np.array([float(row[key]) for row in chosen]) for key in ("weight_mae", "points"))
    lines(path.with_suffix(".svg"), groups, "MAE of the weights", "difference of top-1 in points", log=("x",))


def _families(rows: list[dict[str, Any]]) -> str:
    """Return how often each family fits best, by network and granularity."""
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        if row["method"] == "analytical" and row["bits"] == 4:
            pairs = (part.split(":") for part in str(row["families"]).split())
            counted[TITLES[row["network"]], row["granularity"]] = {name: int(count) for name, count in pairs}
    names = sorted({name for counts in counted.values() for name in counts})
    cells = [
        (network, "layer" if granularity == "tensor" else "channel", *(counts.get(name, 0) for name in names))
        for (network, granularity), counts in counted.items()
    ]
    return table(("network", "rows are", *names), cells)


INTRODUCTION = """# Clip bounds and bias correction

Published for ResNet18 on ImageNet at 8 bits (Jonkus 2026): {published}. Neither that network nor its data are at hand,
so the same methods run on other networks. Weights alone are quantized. Biases are corrected with 200 or 256 calibration
images; other images evaluate. `auto` is `preset: int8-weights` or `int4-weights` with its defaults. Differences are in
percentage points, with 95 % intervals; the MAE is that of all weights. Measured on: {environment}."""
