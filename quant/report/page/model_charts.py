"""Charts of the whole model: the layers along the network, and the front of size and error."""

from collections.abc import Callable, Iterable, Sequence

from quant.outcome.report.layer import LayerEntry, LayerOutput
from quant.outcome.report.sections import AllocationPoint, AllocationSection
from quant.report.page.chart import (
    Axis,
    Chart,
    ChartColumns,
    Shape,
    Text,
    axis_over,
    bars,
    digits,
    dots,
    frame,
    label,
    line,
)
from quant.report.page.texts import EXACT_DB

LEFT = 56
WIDTH = 1000
LEAST_COLUMN = 12
"""The least width of a layer's column; a network with many layers makes the chart wider."""

Values = Sequence[float | None]


def network_chart(layers: Sequence[LayerEntry]) -> Chart | None:
    """Return strips of figures over the layers in network order; None without layers.

    The strips are the SQNR at the layers' outputs and of their weights, their shares of the output error, the mean
    shifts before and after bias correction with one standard error, and the bits. A strip without figures is left out.
    """
    if not layers:
        return None
    width = max(WIDTH, LEFT + 20 + LEAST_COLUMN * len(layers))
    x = Axis(0.5, len(layers) + 0.5, LEFT, width - 12)
    shapes: list[Shape] = []
    texts: list[Text] = []
    top = 18.0
    for strip in (_sqnr_strip, _share_strip, _shift_strip, _bits_strip):
        drawn = strip(layers, x, top)
        if drawn is not None:
            shapes, texts, top = shapes + drawn[0], texts + drawn[1], drawn[2] + 34
    floor = top - 30
    texts += [Text(x.at(number), floor + 12, str(number), "middle") for number in _numbers(len(layers))]
    texts.append(Text((x.start + x.end) / 2, floor + 28, "layer, in network order", "middle", "axis"))
    columns = ChartColumns(x.start, x.end, len(layers), round(floor))
    return Chart(width, round(floor + 34), _network_description(layers), shapes, texts, columns)


def front_chart(allocation: AllocationSection) -> Chart:
    """Return the expected output SQNR against the size of each allocation, with the chosen one."""
    points = [*allocation.front, allocation.closed_form, allocation.chosen]
    x = axis_over([100 * point.size_ratio for point in points], 46, 620)
    y = axis_over([point.expected_sqnr_db for point in points], 226, 14)
    shapes, texts = frame(x, y)

    def at(selected: Iterable[AllocationPoint]) -> list[tuple[float, float | None]]:
        return [(100 * point.size_ratio, point.expected_sqnr_db) for point in selected]

    shapes += [
        Shape(line(at(allocation.front), x, y), "line front"),
        Shape(dots(at(allocation.front), x, y), "dots"),
        Shape(dots(at([allocation.closed_form]), x, y), "dots closed-form"),
        Shape(dots(at([allocation.chosen]), x, y), "dots chosen-dot"),
    ]
    texts += [
        Text(46, 9, "expected output SQNR, dB", style="axis"),
        Text(333, 262, "file size, % of the float model", "middle", "axis"),
    ]
    chosen = allocation.chosen
    description = (
        f"{len(allocation.front)} allocations of bits by file size and expected output SQNR. Chosen: "
        f"{100 * chosen.size_ratio:.1f} % of the float size, {chosen.mean_bits:.2f} bits per weight, "
        f"{chosen.expected_sqnr_db:.1f} dB."
    )
    return Chart(640, 268, description, shapes, texts)


Drawn = tuple[list[Shape], list[Text], float]
"""Shapes and texts of a strip, and the position of its floor."""


def _sqnr_strip(layers: Sequence[LayerEntry], x: Axis, top: float) -> Drawn | None:
    outputs = _at_outputs(layers, lambda output: output.sqnr_db)
    weights = [layer.weight.sqnr_db for layer in layers]
    y = axis_over(
        [value for value in (*outputs, *weights) if value is not None and value < EXACT_DB], top + 118, top + 8
    )
    shapes, texts = frame(x, y, x_labels=False)
    shapes += [
        Shape(line(_numbered(weights), x, y), "line weights"),
        Shape(dots(_numbered(weights), x, y), "dots weights"),
    ]
    title = "SQNR of the weights, dB"
    if any(value is not None for value in outputs):
        title = "SQNR at the layer's output (filled) and of its weights (light), dB"
        shapes += [Shape(line(_numbered(outputs), x, y), "line"), Shape(dots(_numbered(outputs), x, y), "dots")]
    return shapes, [*texts, Text(LEFT, top, title, style="axis")], y.start


def _share_strip(layers: Sequence[LayerEntry], x: Axis, top: float) -> Drawn | None:
    shares = [None if layer.error_share is None else 100 * layer.error_share for layer in layers]
    if all(share is None for share in shares):
        return None
    y = axis_over(shares, top + 88, top + 8, from_zero=True)
    shapes, texts = frame(x, y, x_labels=False)
    shapes.append(Shape(bars(_numbered(shares), x, y, min(0.6 * (x.at(2) - x.at(1)), 26)), "bars share"))
    title = "Share of the error that the weights cause at the outputs, each layer quantized alone, %"
    return shapes, [*texts, Text(LEFT, top, title, style="axis")], y.start


def _shift_strip(layers: Sequence[LayerEntry], x: Axis, top: float) -> Drawn | None:
    before = _at_outputs(layers, lambda output: output.mean_shift_before)
    after = _at_outputs(layers, lambda output: output.mean_shift_after)
    if all(value is None for value in (*before, *after)):
        return None
    before_errors = _at_outputs(layers, lambda output: output.mean_shift_before_standard_error)
    after_errors = _at_outputs(layers, lambda output: output.mean_shift_after_standard_error)
    y = axis_over([*before, *after], top + 98, top + 8, logarithmic=True)
    shapes, texts = frame(x, y, x_labels=False)
    offset = min(0.2, 4 / max(x.at(2) - x.at(1), 1e-9))
    for values, errors, style, aside in (
        (before, before_errors, "before", -offset),
        (after, after_errors, "after", offset),
    ):
        shapes.append(Shape(_error_bars(values, errors, x, y, aside), f"spread {style}"))
        shapes.append(
            Shape(dots([(number + aside, value) for number, value in _numbered(values)], x, y), f"dots {style}")
        )
    title = "Mean shift at the layer's output, before (light) and after (filled) bias correction, ± one standard error"
    if all(value is None for value in before):
        title = "Mean shift at the layer's output, ± one standard error"
    return shapes, [*texts, Text(LEFT, top, title, style="axis")], y.start


def _bits_strip(layers: Sequence[LayerEntry], x: Axis, top: float) -> Drawn | None:
    bits = [float(layer.bits) for layer in layers]
    y = Axis(0, max(bits), top + 48, top + 8)
    texts = [Text(x.start - 5, y.at(width) + 3.5, label(width), "end") for width in sorted({0.0, *bits})]
    grid = "".join(f"M{digits(x.start)} {digits(y.at(width))}H{digits(x.end)}" for width in sorted({0.0, *bits}))
    column = min(0.6 * (x.at(2) - x.at(1)), 26)
    shapes = [Shape(grid, "grid"), Shape(bars(_numbered(bits), x, y, column), "bars")]
    return shapes, [*texts, Text(LEFT, top, "Bits of a weight", style="axis")], y.start


def _numbered(values: Values) -> list[tuple[float, float | None]]:
    return [(float(number), value) for number, value in enumerate(values, 1)]


def _at_outputs(layers: Sequence[LayerEntry], figure: Callable[[LayerOutput], float | None]) -> Values:
    return [None if layer.output is None else figure(layer.output) for layer in layers]


def _error_bars(values: Values, errors: Values, x: Axis, y: Axis, aside: float) -> str:
    """Return upright lines of one standard error to both sides."""
    return "".join(
        f"M{digits(x.at(number + aside))} {digits(y.at(value - error))}V{digits(y.at(value + error))}"
        for (number, value), error in zip(_numbered(values), errors, strict=True)
        if value is not None and error is not None
    )


def _numbers(layers: int) -> list[int]:
    """Return the numbers of the layers that have a label: the first, and every fifth or more."""
    step = next(step for step in (1, 5, 10, 20, 50, 100, 500, 10**6) if layers <= 24 * step)
    return [1, *range(step if step > 1 else 2, layers + 1, step)]


def _network_description(layers: Sequence[LayerEntry]) -> str:
    """Return the layers with the lowest SQNR and the largest shares in words; the table has all figures."""
    measured = [layer for layer in layers if layer.output is not None]
    if measured:
        worst = min(measured, key=lambda layer: layer.output.sqnr_db if layer.output else 0.0)
        text = f"Output SQNR by layer; least at {worst.name}: {worst.output.sqnr_db if worst.output else 0.0:.1f} dB."
    else:
        worst = min(layers, key=lambda layer: layer.weight.sqnr_db)
        text = f"Weight SQNR by layer; least at {worst.name}: {worst.weight.sqnr_db:.1f} dB."
    shared = [layer for layer in layers if layer.error_share is not None]
    if shared:
        largest = max(shared, key=lambda layer: layer.error_share or 0.0)
        text += f" Largest share of the weights’ error: {largest.name}, {100 * (largest.error_share or 0.0):.0f} %."
    return f"{text} The table below has all figures of the {len(layers)} layers."
