"""Texts of figures on the page: with unit, rounded to what the reader can use, and a word where a figure is missing."""

import math
import re
from collections.abc import Mapping

from markupsafe import Markup, escape

EXACT_DB = 200.0
"""The SQNR of values without error."""
MISSING = "not measured"
_CODE = re.compile(r"`([^`]+)`")
_UNIT = re.compile(r"(?<=\d) (%|dB|[kMG]B|ms|bytes|points|samples)(?!\w)")
_PIECES = re.compile(r"[^/._:]*[/._:]*(?:(?<=[/._:])|$)")


def decibels(value: float | None) -> str:
    """Return an SQNR such as "17.4 dB"; "exact" for values without error."""
    if value is None or not math.isfinite(value):
        return MISSING
    return "exact" if value >= EXACT_DB else f"{_signed(value, 1)} dB"


def gain(value: float | None) -> str:
    """Return a difference in dB with its sign, such as "+6.1 dB"."""
    return "unknown" if value is None or not math.isfinite(value) else f"{difference(value, 1)} dB"


def difference(value: float, places: int) -> str:
    """Return a difference with its sign, such as "−0.90"; a rounded zero has none."""
    text = _signed(value, places)
    return f"+{text}" if float(f"{value:.{places}f}") > 0 else text


def percent(share: float | None, places: int = 1) -> str:
    """Return a fraction in percent, such as "17.2 %"; small shares keep two significant digits."""
    if share is None:
        return MISSING
    value = 100 * share
    if value and abs(value) < 10**-places / 2:
        return f"{value:.1g} %" if abs(value) >= 1e-4 else "< 0.0001 %"
    return f"{value:.{places}f} %"


def size(count: float) -> str:
    """Return a number of bytes, such as "192.2 kB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= scale:
            return f"{count / scale:.{1 if abs(count) < 100 * scale else 0}f} {unit}".replace("-", "−")
    return f"{count:.0f} bytes".replace("-", "−")


def more(count: float) -> str:
    """Return a difference of bytes with its sign, such as "+37.1 kB"."""
    return f"{'+' if count > 0 else ''}{size(count)}" if count else "same size"


def figure(value: float | None) -> str:
    """Return a number with three significant digits."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.3g}".replace("-", "−")


def with_error(value: float | None, error: float | None) -> str:
    """Return a figure with its standard error to the same place, such as "0.0046 ±0.0002"."""
    if value is None:
        return MISSING
    if error is None:
        return f"{value:.2g}"
    if not 1e-6 < error < 1e6:
        return f"{value:.2g} ±{error:.1g}"
    places = max(-math.floor(math.log10(error)), 0)
    return f"{value:.{places}f} ±{error:.{places}f}"


def breakable(name: str) -> Markup:
    """Return a name as HTML that a browser may break after a slash, a point, an underscore or a colon."""
    return Markup("<wbr>").join(filter(None, _PIECES.findall(name)))


def unbroken(text: str) -> str:
    """Return a text in which a line cannot break between a number and its unit."""
    return _UNIT.sub("\u00a0\\1", text)


def with_layer_links(text: str, numbers: Mapping[str, int]) -> Markup:
    """Return a text as HTML in which `names in backticks` are code, and names of layers are links to their rows.

    Args:
        text: the text; everything else of it is escaped.
        numbers: the positions of the layers in the network, from 1, by name.
    """
    parts = _CODE.split(text)
    return Markup("").join(
        _code(part, numbers) if number % 2 else escape(unbroken(part)) for number, part in enumerate(parts)
    )


def _code(name: str, numbers: Mapping[str, int]) -> Markup:
    code = Markup("<code>{}</code>").format(breakable(name))
    return Markup('<a href="#layer-{}">{}</a>').format(numbers[name], code) if name in numbers else code


def _signed(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")
