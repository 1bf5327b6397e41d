"""Charts as data: axes, shapes and texts in the units of an SVG, which the page's template draws."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

TICKS = 4
"""The most ticks on an axis."""


@dataclass(frozen=True)
class Shape:
    """One SVG path; `style` is its CSS class."""

    path: str
    style: str


@dataclass(frozen=True)
class Text:
    """One text at a position; `style` is its CSS class."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    style: str = "tick"


@dataclass(frozen=True)
class ChartColumns:
    """Numbered columns of equal width, which a reader can point at.

    Attributes:
        start, end: the positions of the first column's left edge and the last one's right edge.
        count: the number of columns.
        height: their height.
    """

    start: float
    end: float
    count: int
    height: float


@dataclass(frozen=True)
class Chart:
    """One drawing with its text alternative.

    Attributes:
        width, height: the size of its view box.
        description: the essence of the chart in one or two sentences, for readers who do not see it.
        shapes: its paths, the lowest first.
        texts: its texts.
        columns: its numbered columns; None where nothing can be pointed at.
    """

    width: int
    height: int
    description: str
    shapes: Sequence[Shape]
    texts: Sequence[Text]
    columns: ChartColumns | None = None

    def text_groups(self) -> list[tuple[tuple[str, str], list[Text]]]:
        """Return the texts by their style and anchor."""
        groups: dict[tuple[str, str], list[Text]] = {}
        for text in self.texts:
            groups.setdefault((text.style, text.anchor), []).append(text)
        return list(groups.items())


@dataclass(frozen=True)
class Axis:
    """A scale from values to positions.

    Attributes:
        low, high: the values at both ends; both positive if the axis is logarithmic.
        start, end: the positions of both ends.
        logarithmic: True if equal distances are equal ratios.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value; a value beyond an end is drawn at that end."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        if high <= low:
            return 0.5 * (self.start + self.end)
        return self.start + min(max((value - low) / (high - low), 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return at most `TICKS` round values between both ends."""
        decades = math.log10(self.high) - math.log10(self.low) if self.logarithmic else 0.0
        if decades < 1:
            return _round_values(self.low, self.high)
        stride = math.ceil(decades / TICKS)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return [10.0**exponent for exponent in range(first, last + 1, stride)]


def axis_over(
    values: Iterable[float | None], start: float, end: float, *, from_zero: bool = False, logarithmic: bool = False
) -> Axis:
    """Return an axis that holds all finite values, with a little room at its ends.

    Args:
        values: the values; None and values that are not finite are ignored, on a logarithmic axis also 0 and less.
        start: the position of the low end.
        end: the position of the high end.
        from_zero: True if the axis also holds zero.
        logarithmic: True for a logarithmic axis.
    """
    shown = [value for value in values if value is not None and math.isfinite(value) and (value > 0 or not logarithmic)]
    if logarithmic:
        low, high = (min(shown), max(shown)) if shown else (1.0, 10.0)
        return Axis(low / 1.1, high * 1.1, start, end, logarithmic=True)
    shown = [*shown, 0.0] if from_zero or not shown else shown
    low, high = min(shown), max(shown)
    room = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return Axis(
        0.0 if from_zero and low == 0 else low - room, 0.0 if from_zero and high == 0 else high + room, start, end
    )


def _round_values(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2, 2.5 or 5 times a power of ten between two values."""
    if not high > low:
        return [low]
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def digits(value: float) -> str:
    """Return a position with at most one digit after the point, so that paths stay short."""
    return _tenths(round(10 * value))


def _tenths(tenths: int) -> str:
    """Return a number of tenths as a decimal number without needless zeros."""
    if tenths % 10 == 0:
        return str(tenths // 10)
    return f"{'-' if tenths < 0 else ''}{abs(tenths) // 10 or ''}.{abs(tenths) % 10}"


def _joined(numbers: Iterable[int]) -> str:
    """Return numbers of tenths as SVG reads them: a minus sign separates as well as a space."""
    return " ".join([_tenths(number) for number in numbers]).replace(" -", "-")


def label(value: float) -> str:
    """Return the text of a tick."""
    return "0" if abs(value) < 1e-12 else f"{value:.4g}"


def line(points: Iterable[tuple[float, float | None]], x: Axis, y: Axis) -> str:
    """Return the path of a line through points of (x, y) values; it has a gap where y is missing or not finite."""
    commands, last = [], None
    for across, up in points:
        if up is None or not math.isfinite(up):
            last = None
            continue
        place = round(10 * x.at(across)), round(10 * y.at(up))
        if last is None:
            commands.append(f"M{_joined(place)}")
        else:
            commands.append(f"l{_joined((place[0] - last[0], place[1] - last[1]))}")
        last = place
    return "".join(commands)


def dots(points: Iterable[tuple[float, float | None]], x: Axis, y: Axis) -> str:
    """Return the path of dots at points of (x, y) values, at whole positions; the stroke's round caps draw them."""
    commands, last_across, last_up = [], 0, 0
    for across, up in points:
        if up is not None and math.isfinite(up):
            place_across, place_up = round(x.at(across)), round(y.at(up))
            commands.append(f"m{_joined((10 * (place_across - last_across), 10 * (place_up - last_up)))}h0")
            last_across, last_up = place_across, place_up
    return "".join(commands)


def steps(edges: Sequence[float], heights: Sequence[float], x: Axis, y: Axis) -> str:
    """Return the outline of adjacent bars that stand on zero: one height between each two edges."""
    sides = "".join(
        f"V{digits(y.at(height))}H{digits(x.at(edge))}" for height, edge in zip(heights, edges[1:], strict=True)
    )
    return f"M{digits(x.at(edges[0]))} {digits(y.at(0.0))}{sides}V{digits(y.at(0.0))}z"


def bars(points: Iterable[tuple[float, float | None]], x: Axis, y: Axis, width: float) -> str:
    """Return the path of bars that stand on zero, each `width` wide around its x value."""
    floor = y.at(0.0)
    return "".join(
        f"M{digits(x.at(across) - width / 2)} {digits(floor)}V{digits(y.at(up))}h{digits(width)}V{digits(floor)}z"
        for across, up in points
        if up is not None and math.isfinite(up) and up != 0
    )


def upright(value: float, x: Axis, y: Axis) -> str:
    """Return the path of a line over the whole height at one x value."""
    return f"M{digits(x.at(value))} {digits(y.start)}V{digits(y.end)}"


def frame(x: Axis, y: Axis, *, x_labels: bool = True) -> tuple[list[Shape], list[Text]]:
    """Return the grid lines of both axes and the texts of their ticks."""
    lines = "".join(f"M{digits(x.start)} {digits(y.at(tick))}H{digits(x.end)}" for tick in y.ticks())
    base = f"M{digits(x.start)} {digits(y.start)}H{digits(x.end)}"
    texts = [Text(x.start - 5, y.at(tick) + 3.5, label(tick), "end") for tick in y.ticks()]
    if x_labels:
        texts += [Text(x.at(tick), y.start + 15, label(tick), "middle") for tick in x.ticks()]
    return [Shape(lines, "grid"), Shape(base, "base")], texts
