"""Plots of the studies as SVG, readable on light and on dark pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK = "#7f8691"
"""A grey that has contrast with white and with black."""
COLOURS = ("#2f81f7", "#e8710a", "#2da44e", "#a371f7", "#d1477b", "#8a6d00")
MARKERS = "os^Dvx"
Points = tuple[NDArray[np.float64], NDArray[np.float64]]
STYLE = {
    "svg.hashsalt": "quantd", "svg.fonttype": "path", "font.size": 9, "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False,
}  # fmt: skip


def scatter(path: Path, groups: Mapping[str, Points], x: str, y: str) -> None:
    """Write a scatter plot with the line of least squares of each group."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(x, y)
        for (name, (xs, ys)), colour, marker in zip(groups.items(), COLOURS, MARKERS, strict=False):
            axes.scatter(xs, ys, s=9, color=colour, marker=marker, alpha=0.6, linewidths=0, label=name)
            ends = np.array([xs.min(), xs.max()])
            axes.plot(ends, np.polyval(np.polyfit(xs, ys, 1), ends), color=colour)
        axes.legend()
        _save(figure, path)


def lines(
    path: Path, groups: Mapping[str, Points], x: str, y: str, *, log: Sequence[str] = (), marks: Sequence[float] = ()
) -> None:
    """Write a plot of lines; `log` names the logarithmic axes, `marks` are places of vertical lines."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(x, y)
        for (name, (xs, ys)), colour, marker in zip(groups.items(), COLOURS, MARKERS, strict=False):
            axes.plot(xs, ys, color=colour, marker=marker, markersize=4, label=name)
        for place in marks:
            axes.axvline(place, color=INK, linestyle=":")
        if "x" in log:
            axes.set_xscale("log")
        if "y" in log:
            axes.set_yscale("log")
        axes.legend()
        _save(figure, path)


def bars(
    path: Path, names: Sequence[str], groups: Mapping[str, NDArray[np.float64]], x: str, *, log: bool = False
) -> None:
    """Write a plot of horizontal bars: for each name, one bar of each group."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(x, "")
        height = 0.8 / len(groups)
        places = np.arange(len(names), dtype=float)
        for number, ((name, values), colour) in enumerate(zip(groups.items(), COLOURS, strict=False)):
            axes.barh(places + number * height, values, height, color=colour, label=name)
        axes.set_yticks(places + 0.4 - height / 2, names)
        axes.invert_yaxis()
        if log:
            axes.set_xscale("log")
        axes.legend()
        _save(figure, path)


def _figure(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, transparent=True, metadata={"Date": None})
