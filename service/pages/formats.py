"""Figures as people read them: sizes, shares, durations and ages, with their units."""

from collections.abc import Callable
from datetime import UTC, datetime

UNITS = ("B", "kB", "MB", "GB", "TB")
_STEPS = ((60.0, "s", 1.0), (3600.0, "min", 60.0), (86_400.0, "h", 3600.0), (float("inf"), "d", 86_400.0))


def size(count: int) -> str:
    """Return a number of bytes with three digits and a decimal unit, such as `1.23 MB`."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {UNITS[unit]}"


def percent(share: float) -> str:
    """Return a share, 0 to 1, in percent with one decimal."""
    return f"{100 * share:.1f} %"


def counted(number: int, thing: str) -> str:
    """Return a number of things, such as `1 layer` or `2 layers`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def figure(format_spec: str, unit: str = "") -> Callable[[float | None], str]:
    """Return a function from a figure to its text with the unit, such as `12.3 dB`; it returns "" for None."""

    def text(value: float | None) -> str:
        return "" if value is None else f"{value:{format_spec}}{unit and ' ' + unit}"

    return text


decibels = figure(".1f", "dB")


def duration(seconds: float) -> str:
    """Return a duration in its largest unit, such as `0.8 s`, `42 s` or `3 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    unit, step = next((unit, step) for limit, unit, step in _STEPS if seconds < limit)
    return f"{seconds / step:.0f} {unit}"


def age(timestamp: str, now: datetime | None = None) -> str:
    """Return the time since an RFC 3339 timestamp, such as `3 min ago`."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds()
    if seconds < 10:
        return "just now"
    return f"{duration(seconds)} ago"


def elapsed(start: str | None, end: str | None) -> str:
    """Return the time between two RFC 3339 timestamps; "" if one of them is not known."""
    if start is None or end is None:
        return ""
    return duration((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
