"""Charts of one layer: its weights with the fitted densities, clip bounds, errors, quantiles and channels."""

import math
from collections.abc import Sequence

from quant.outcome.report.layer import Channels
from quant.outcome.report.picture import ErrorCurve, Histogram, Picture, Quantiles
from quant.report.page.chart import (
    Axis,
    Chart,
    Shape,
    Text,
    axis_over,
    digits,
    dots,
    frame,
    label,
    line,
    steps,
    upright,
)
from quant.report.page.texts import EXACT_DB

WIDTH = 380
LEFT, RIGHT = 46, 368
"""Positions of the ends of the x axis."""
MOST_CHANNELS = 128
"""The most channels that are drawn, so that the page stays small: those with the least SQNR."""
MOST_LEVELS = 64
"""The most levels that are drawn; more would touch each other."""


def histogram_chart(picture: Picture, families: dict[str, int]) -> Chart:
    """Return the histogram of the weights with the density of each family, the chosen bound and the levels.

    Args:
        picture: the picture of the layer's weights.
        families: rows by the family that was chosen for them.
    """
    histogram = picture.histogram
    total = sum(histogram.counts) + histogram.below + histogram.above
    centres = _centres(histogram)
    heights = [count / (total * histogram.width) for count in histogram.counts] if total else [0.0] * len(centres)
    highest = max(heights, default=1.0) or 1.0
    x = Axis(histogram.low, histogram.low + histogram.width * len(centres), LEFT, RIGHT)
    y = Axis(0.0, min(1.6 * highest, 1.05 * _highest_density(picture, highest)), 186, 10)
    shapes, texts = frame(x, y)
    edges = [histogram.low + histogram.width * number for number in range(len(heights) + 1)]
    shapes.append(Shape(steps(edges, heights, x, y), "bars"))
    for family, density in picture.densities.items():
        if density is not None:
            shapes.append(Shape(line(zip(centres, density, strict=True), x, y), f"line {family}"))
    shapes += [Shape(upright(-1, x, y) + upright(1, x, y), "chosen"), Shape(_level_ticks(picture, x, y), "levels")]
    texts.append(Text((LEFT + RIGHT) / 2, 218, "weight / chosen bound", "middle", "axis"))
    chosen = ", ".join(f"{family} in {rows}" for family, rows in families.items())
    description = (
        f"Histogram of {total} weights, divided by the chosen bound of their row, with the densities of "
        f"{len(picture.densities)} fitted families. Chosen by row: {chosen or 'none was fitted'}."
    )
    return Chart(WIDTH, 222, description, shapes, texts)


def bounds_chart(picture: Picture, rule: str) -> Chart | None:
    """Return the clip bound of every rule relative to the chosen one; None if no rule gives one.

    Args:
        picture: the picture of the layer's weights.
        rule: the clip rule of the spec.
    """
    bounds = {name: bound for name, bound in picture.clip_bounds.items() if bound is not None and math.isfinite(bound)}
    if not bounds:
        return None
    ordered = sorted(bounds, key=lambda name: (bounds[name], name))
    floor = 14 + 20 * len(ordered)
    x = axis_over([*bounds.values(), 1.0], 130, RIGHT - 30, from_zero=True)
    y = Axis(0, len(ordered), floor, 6)
    places = {name: 20.0 * row + 16 for row, name in enumerate(ordered)}
    grid = "".join(f"M{x.start} {digits(place)}H{digits(x.end)}" for place in places.values())
    ticks = "".join(f"M{digits(x.at(tick))} {floor}v4" for tick in x.ticks())
    points = {name: f"M{digits(x.at(bounds[name]))} {digits(place)}h0" for name, place in places.items()}
    shapes = [
        Shape(grid, "grid"),
        Shape(f"M{x.start} {floor}H{digits(x.end)}{ticks}", "base"),
        Shape(upright(1, x, y), "chosen"),
        Shape("".join(path for name, path in points.items() if name != rule), "dots"),
        Shape(points.get(rule, ""), "dots chosen-dot"),
    ]
    texts = [Text(x.at(tick), floor + 15, label(tick), "middle") for tick in x.ticks()]
    texts += [Text(122, place + 3.5, name, "end") for name, place in places.items()]
    texts += [Text(RIGHT + 6, place + 3.5, f"{bounds[name]:.2f}", "end") for name, place in places.items()]
    texts.append(Text((x.start + x.end) / 2, floor + 32, "bound / chosen bound", "middle", "axis"))
    description = "Clip bound of each rule, divided by the chosen bound: " + ", ".join(
        f"{name} {bounds[name]:.2f}" for name in ordered
    )
    return Chart(WIDTH, floor + 36, description + ".", shapes, texts)


def error_chart(curve: ErrorCurve) -> Chart:
    """Return the RMS and the mean absolute error against the bound, expected and measured, with their minima."""
    lines = {
        "rms expected": _roots(curve.expected_mse),
        "rms measured": _roots(curve.measured_mse),
        "mae expected": curve.expected_mae,
        "mae measured": curve.measured_mae,
    }
    known = {style: values for style, values in lines.items() if values is not None}
    x = axis_over(curve.bound, LEFT, RIGHT)
    y = axis_over([value for values in known.values() for value in values], 186, 10, logarithmic=True)
    shapes, texts = frame(x, y)
    shapes.append(Shape(upright(1, x, y), "chosen"))
    least = {}
    for style, values in known.items():
        points = [
            (bound, value)
            for bound, value in zip(curve.bound, values, strict=True)
            if value is not None and value > 0 and math.isfinite(value)
        ]
        shapes.append(Shape(line(points, x, y), f"line {style}"))
        if points:
            least[style] = min(points, key=lambda point: point[1])
            shapes.append(Shape(dots([least[style]], x, y), f"dots {style}"))
    texts.append(Text((LEFT + RIGHT) / 2, 218, "bound / chosen bound", "middle", "axis"))
    minima = ", ".join(f"{_worded(style)} {value:.3g} at {bound:.2f}" for style, (bound, value) in least.items())
    description = f"Error of the weights against the clip bound. Least errors: {minima or 'none known'}."
    return Chart(WIDTH, 222, description, shapes, texts)


def quantile_chart(quantiles: Quantiles) -> Chart:
    """Return the Q-Q plot: quantiles of the weights against those of the chosen fits."""
    x = axis_over([*quantiles.expected, *quantiles.observed], LEFT, RIGHT)
    y = Axis(x.low, x.high, 186, 10)
    shapes, texts = frame(x, y)
    points = list(zip(quantiles.expected, quantiles.observed, strict=True))
    shapes += [Shape(line([(x.low, x.low), (x.high, x.high)], x, y), "diagonal"), Shape(dots(points, x, y), "dots")]
    texts.append(Text((LEFT + RIGHT) / 2, 218, "quantile of the fits / chosen bound", "middle", "axis"))
    distance, at = max(
        (
            (abs(observed - expected), probability)
            for (expected, observed), probability in zip(points, quantiles.probability, strict=True)
        ),
        default=(0.0, 0.5),
    )
    description = (
        f"{len(points)} quantiles of the weights against those of the chosen fits. The largest distance from the "
        f"diagonal is {distance:.3g} bounds, at the quantile {at:.3g}."
    )
    return Chart(WIDTH, 222, description, shapes, texts)


def channel_chart(channels: Channels) -> Chart:
    """Return the clip bound and the SQNR of the weights of each channel, or of the worst ones, by family."""
    families = channels.family or ("",) * len(channels.channel)
    listed = list(zip(channels.channel, channels.bound, channels.sqnr_db, families, strict=True))
    rows = sorted(sorted(listed, key=lambda row: row[2])[:MOST_CHANNELS])
    x = Axis(
        min((row[0] for row in rows), default=0) - 0.5, max((row[0] for row in rows), default=0) + 0.5, LEFT, RIGHT
    )
    bounds = axis_over([row[1] for row in rows], 96, 22, from_zero=True)
    ratios = axis_over([row[2] for row in rows if row[2] < EXACT_DB], 200, 126)
    upper, upper_texts = frame(x, bounds, x_labels=False)
    lower, lower_texts = frame(x, ratios)
    shapes = [*upper, *lower]
    for family in sorted(set(families)):
        members = [row for row in rows if row[3] == family]
        path = dots(((channel, bound) for channel, bound, _, _ in members), x, bounds)
        path += dots(((channel, ratio) for channel, _, ratio, _ in members), x, ratios).replace("m", "M", 1)
        shapes.append(Shape(path, f"dots {family}".rstrip()))
    texts = [
        *upper_texts,
        *lower_texts,
        Text(LEFT, 14, "clip bound, in the weight's unit", style="axis"),
        Text(LEFT, 118, "SQNR of the weights, dB", style="axis"),
        Text((LEFT + RIGHT) / 2, 232, "output channel", "middle", "axis"),
    ]
    which = "all" if len(rows) == channels.channels else f"the {len(rows)} worst of {channels.channels}"
    description = f"Clip bound and SQNR of {which} output channels."
    if rows:
        worst, best = min(rows, key=lambda row: row[2]), max(rows, key=lambda row: row[2])
        description += f" SQNR: {worst[2]:.1f} (channel {worst[0]}) to {best[2]:.1f} dB."
    return Chart(WIDTH, 236, description, shapes, texts)


def _centres(histogram: Histogram) -> list[float]:
    return [histogram.low + histogram.width * (number + 0.5) for number in range(len(histogram.counts))]


def _highest_density(picture: Picture, highest: float) -> float:
    """Return the greatest value of the histogram and of the densities."""
    values = (value for density in picture.densities.values() if density for value in density if value is not None)
    return max((value for value in values if math.isfinite(value)), default=highest)


def _level_ticks(picture: Picture, x: Axis, y: Axis) -> str:
    """Return short ticks above the base at the grid's levels; none if there are too many."""
    levels: Sequence[float] = picture.levels or ()
    if picture.level_step:
        count = round(1 / picture.level_step)
        levels = [number * picture.level_step for number in range(-count, count + 1)]
    if len(levels) > MOST_LEVELS:
        return ""
    return "".join(f"M{digits(x.at(level))} {digits(y.start)}v-7" for level in levels)


def _roots(squares: Sequence[float | None] | None) -> list[float | None] | None:
    if squares is None:
        return None
    return [None if square is None or square < 0 else math.sqrt(square) for square in squares]


def _worded(style: str) -> str:
    error, origin = style.split()
    return f"{origin} {'RMS' if error == 'rms' else 'mean absolute'}"
