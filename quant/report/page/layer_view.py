"""The texts and charts of one layer, as the page's template shows them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from quant.outcome.report.layer import BoundFigure, LayerEntry
from quant.report.page.chart import Chart
from quant.report.page.layer_charts import (
    MOST_CHANNELS,
    MOST_LEVELS,
    bounds_chart,
    channel_chart,
    error_chart,
    histogram_chart,
    quantile_chart,
)
from quant.report.page.texts import decibels, figure, percent, size, with_error

READING = (
    (
        "Weights and fitted densities",
        "Histogram of the layer's weights, each divided by the chosen clip bound of its row, so that 1 is the bound. "
        "Exact zeros are left out, as in the fits. Lines: mean density of each family over the rows. Ticks at the "
        "base: levels of the grid.",
    ),
    (
        "Error against the clip bound",
        "RMS and mean absolute error in the weight's unit if all rows had their bound times a common factor. Solid: "
        "expected of the fits. Dashed: measured. A dot is the minimum. A bound that was chosen for the error at an "
        "output may lie beside the least error of the weights.",
    ),
    (
        "Clip bound of every rule",
        "Mean over the rows of each rule's bound divided by the chosen one; rules have their default options.",
    ),
    (
        "Quantiles: weights against fits",
        "On the diagonal, the weights are distributed as fitted. Beyond it at the ends, their tails are heavier.",
    ),
    (
        "Channels",
        "Clip bound and SQNR of the weights by output channel, in the colour of the family that fits each best.",
    ),
)
"""The title of each chart of a layer, and how to read it."""
REASONS = {
    "weight_error": "The bound was chosen for the error of the weights.",
    "output_error": "The bound was chosen for the error at the layer's output.",
    "rule": "The rule sets the bound without minimising an error.",
    "model_output": "The bound is the one of two with the least error at the model's outputs.",
}
"""The sentence for each error that a bound is chosen for."""


@dataclass(frozen=True)
class Cell:
    """One cell of the table: its text, and the value that it is sorted by.

    Attributes:
        text: the text.
        value: the number or text for sorting; empty if there is none, which is sorted last.
        numeric: True if the value is a number.
        bar: the length of a bar below the text, 0 to 1; None without a bar.
    """

    text: str
    value: str
    numeric: bool = True
    bar: float | None = None


@dataclass(frozen=True)
class Figure:
    """One chart of a layer with its title and a note."""

    title: str
    chart: Chart
    note: str


@dataclass(frozen=True)
class LayerView:
    """One layer of the page.

    Attributes:
        number: its position in the network, from 1.
        entry: its entry in the report.
        worst: True if it is among the worst layers by the sorted column.
        cells: its cells, after its number and its name.
        facts: further figures as (title, text).
        figures: its charts.
        legend: the styles of its charts as (CSS class, meaning).
        missing: sentences that say why charts or figures are missing.
    """

    number: int
    entry: LayerEntry
    worst: bool
    cells: Sequence[Cell]
    facts: Sequence[tuple[str, str]]
    figures: Sequence[Figure]
    legend: Sequence[tuple[str, str]]
    missing: Sequence[str]


@dataclass(frozen=True)
class Column:
    """A column of the table of layers.

    Attributes:
        title: its heading.
        meaning: what the figure is, its unit and how it was measured; empty where the heading says it.
        cell: returns the cell of a layer; None for the number and the name.
        numeric: True if its values are numbers.
        first: the order of the first sorting by this column.
        sorted: the order in which the table is sorted by this column; None if it is not.
    """

    title: str
    meaning: str
    cell: Callable[[LayerEntry], Cell] | None = None
    numeric: bool = True
    first: Literal["ascending", "descending"] = "ascending"
    sorted: Literal["ascending", "descending"] | None = None


def facts(layer: LayerEntry) -> Iterator[tuple[str, str]]:
    """Yield the figures of a layer that have no column, as (title, text)."""
    weight, output = layer.weight, layer.output
    block = f" of {layer.block_size}" if layer.block_size else ""
    yield "Grid, rounding", f"{layer.grid}, {layer.rounding}; a scale by {layer.granularity}{block}"
    yield "Clip rule", f"{layer.clipping}; bound / largest weight {layer.clip_ratio:.3f}"
    yield "Clipped weights", percent(layer.clipped_fraction, 2)
    expected = "undefined" if weight.mae_expected is None else f"{figure(weight.mae_expected)} expected"
    yield "Mean absolute error", f"{figure(weight.mae)} measured, {expected}"
    expected = "undefined" if weight.mse_expected is None else f"{figure(weight.mse_expected)} expected"
    yield "Mean squared error", f"{figure(weight.mse)} measured, {expected}"
    if output is not None:
        yield "Cosine at the output", "undefined" if output.cosine is None else f"{output.cosine:.5f}"
    if layer.activations == "dynamic":
        yield "Range of the input", "computed by the model for each input"
    if layer.activation is not None:
        clipped = layer.activation
        limits = f"{figure(clipped.minimum)} to {figure(clipped.maximum)}"
        samples = f"{clipped.samples} evaluation samples"
        yield "Clipped input values", f"{percent(clipped.clipped_fraction, 2)} outside of {limits}, {samples}"
    if layer.bound is not None:
        yield "Bound on any element's error", bound_text(layer.bound.interval)
        yield "Bound on the error's 2-norm", bound_text(layer.bound.operator_norm)
    families = sorted(layer.distribution.items(), key=lambda item: (-item[1], item[0]))
    rows = ", ".join(f"{_family(family)} {rows}" for family, rows in families)
    yield "Best-fitting family, by row", rows or "not fitted"
    yield "Weights", f"{layer.parameters}; {size(layer.bytes_before)} → {size(layer.bytes_after)}"
    if layer.error_share is not None and layer.error_share_standard_error is not None:
        yield "Standard error of the share", percent(layer.error_share_standard_error)


def bound_text(bound: BoundFigure) -> str:
    """Return a guaranteed bound in words."""
    if bound.error is None:
        return "unbounded"
    return f"{figure(bound.error)}{', vacuous' if bound.vacuous else ''}"


def layer_figures(layer: LayerEntry) -> Iterator[Figure]:
    """Yield the charts of a layer."""
    if layer.picture is not None:
        picture = layer.picture
        yield Figure(
            "Weights and fitted densities",
            histogram_chart(picture, layer.distribution),
            f"{picture.weights} weights of {picture.rows} rows, {picture.histogram.zeros} of them zero; "
            f"{_levels(layer)} levels.",
        )
        yield Figure("Error against the clip bound", error_chart(picture.curve), REASONS[picture.curve.chosen_for])
        bounds = bounds_chart(picture, layer.clipping)
        if bounds is not None:
            yield Figure("Clip bound of every rule", bounds, "")
        if picture.quantiles is not None:
            yield Figure("Quantiles: weights against fits", quantile_chart(picture.quantiles), "")
    if layer.channels is not None:
        drawn, channels = min(len(layer.channels.channel), MOST_CHANNELS), layer.channels.channels
        which = f"All {channels} channels." if drawn == channels else f"The {drawn} worst of {channels} channels."
        yield Figure("Channels", channel_chart(layer.channels), which)


def layer_legend(layer: LayerEntry) -> list[tuple[str, str]]:
    """Return the legend of a layer's charts: each style that they use, with its meaning."""
    families = set() if layer.channels is None else set(layer.channels.family or ())
    legend = {}
    if layer.picture is not None:
        picture = layer.picture
        families |= {family for family, density in picture.densities.items() if density is not None}
        legend = {"chosen": "chosen bound"} | ({"levels": "levels"} if _levels(layer) <= MOST_LEVELS else {})
        legend |= {"line rms": "RMS error", "line mae": "mean absolute error"}
        legend |= {"dots chosen-dot": "rule of the spec"} if layer.clipping in picture.clip_bounds else {}
    return [(f"line {family}", _family(family)) for family in sorted(families)] + list(legend.items())


def missing(layer: LayerEntry) -> list[str]:
    """Return sentences that say why figures or charts of a layer are missing."""
    reasons = {
        "No figures at the output": layer.output_reason if layer.output is None else None,
        "No share of the output error": layer.error_share_reason if layer.error_share is None else None,
        "No charts of the weights": layer.picture_reason if layer.picture is None else None,
        "No channels": layer.channels_reason if layer.channels is None else None,
        "No expected error": layer.weight.expected_reason,
    }
    return [f"{subject}: {reason}." for subject, reason in reasons.items() if reason]


def sqnr_cell(value: float | None, highest: float) -> Cell:
    """Return the cell of an SQNR, with a bar relative to the highest one."""
    if value is None:
        return Cell(decibels(None), "")
    return Cell(decibels(value), f"{value:.5g}", bar=value / highest)


def share_cell(layer: LayerEntry, highest: float) -> Cell:
    """Return the cell of the share of the output error, with a bar relative to the largest one."""
    if layer.error_share is None:
        return Cell(percent(None), "")
    return Cell(percent(layer.error_share), f"{layer.error_share:.5g}", bar=layer.error_share / highest)


def shift_before_cell(layer: LayerEntry) -> Cell:
    """Return the cell of the mean shift without bias correction."""
    if layer.output is None:
        return _shift_cell(None, None)
    return _shift_cell(layer.output.mean_shift_before, layer.output.mean_shift_before_standard_error)


def shift_after_cell(layer: LayerEntry) -> Cell:
    """Return the cell of the mean shift in the quantized model."""
    if layer.output is None:
        return _shift_cell(None, None)
    return _shift_cell(layer.output.mean_shift_after, layer.output.mean_shift_after_standard_error)


def _shift_cell(value: float | None, error: float | None) -> Cell:
    return Cell(with_error(value, error), "" if value is None else f"{value:.5g}")


def _levels(layer: LayerEntry) -> int:
    """Return the number of levels of the grid."""
    picture = layer.picture
    if picture is None:
        return 0
    return 2 * round(1 / picture.level_step) + 1 if picture.level_step else len(picture.levels or ())


def _family(family: str) -> str:
    return family.replace("_", " ").replace("student t", "Student's t")
