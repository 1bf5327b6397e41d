"""Figures are short and have their unit."""

from datetime import UTC, datetime, timedelta

import pytest

from service.pages.formats import age, counted, decibels, duration, elapsed, percent, size

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.23 kB"), (999_499, "999 kB"), (999_500, "1 MB"),
     (12_345_678, "12.3 MB"), (4 * 10**9, "4 GB"), (3 * 10**15, "3e+03 TB")],
)  # fmt: skip
def test_a_size_has_three_digits(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-0.2, "0.0 s"), (0.84, "0.8 s"), (9.94, "9.9 s"), (42.4, "42 s"), (90, "2 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_duration_has_its_largest_unit(seconds, text):
    assert duration(seconds) == text


def test_a_figure_has_its_unit_and_a_missing_one_is_empty():
    assert (decibels(12.34), decibels(None), percent(0.1234)) == ("12.3 dB", "", "12.3 %")


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "just now"), (9, "just now"), (45, "45 s ago"), (3 * 86_400, "3 d ago")]
)
def test_an_age_is_relative(seconds, text):
    assert age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == text


def test_the_elapsed_time_has_a_start_and_an_end():
    start = "2026-01-01T11:59:00Z"
    assert elapsed(start, "2026-01-01T11:59:02Z") == "2.0 s"
    assert elapsed(start, None) == ""
    assert elapsed(None, None) == ""


def test_things_are_counted():
    assert [counted(number, "layer") for number in (0, 1, 2)] == ["0 layers", "1 layer", "2 layers"]
