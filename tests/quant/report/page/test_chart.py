"""Axes, ticks and paths of charts."""

import math

import pytest

from quant.report.page.chart import TICKS, Axis, Chart, Text, axis_over, bars, digits, dots, frame, line, steps, upright
from tests.quant.report.page.paths import positions

X, Y = Axis(0, 10, 0, 100), Axis(0, 1, 50, 0)


def test_an_axis_turns_values_into_positions():
    assert [Y.at(value) for value in (0, 0.5, 1)] == [50, 25, 0]
    assert [Axis(1, 100, 0, 10, logarithmic=True).at(value) for value in (1, 10, 100)] == [0, 5, 10]


def test_values_beyond_an_axis_are_drawn_at_its_end():
    assert (X.at(-5), X.at(50)) == (0, 100)
    assert Axis(1, 100, 0, 10, logarithmic=True).at(0) == 0


def test_an_axis_without_extent_puts_values_in_the_middle():
    assert Axis(3, 3, 0, 10).at(3) == 5


@pytest.mark.parametrize("low", [-3.7, 0, 0.0012, 12])
@pytest.mark.parametrize("extent", [0.003, 0.99, 1, 7, 123, 4.2e6])
def test_ticks_are_few_round_values_within_the_axis(low, extent):
    ticks = Axis(low, low + extent, 0, 1).ticks()
    assert 2 <= len(ticks) <= TICKS + 2
    assert all(low - 1e-9 * extent <= tick <= low + extent * (1 + 1e-9) for tick in ticks)
    step = (ticks[1] - ticks[0]) / 10 ** math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)
    assert min(abs(step - round_step) for round_step in (1, 2, 2.5, 5)) < 1e-6


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.005, 0.2, [0.01, 0.1]), (1, 1e9, [1, 1e3, 1e6, 1e9]), (2, 6, [2, 3, 4, 5, 6])],
)
def test_ticks_of_a_logarithmic_axis_are_decades_if_it_spans_some(low, high, ticks):
    assert Axis(low, high, 0, 1, logarithmic=True).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("values", "options"),
    [([1, 2, None, math.nan, math.inf], {}), ([-1e-9, 1e-9], {}), ([5, 5], {"from_zero": True}), ([], {}),
     ([0, None], {"logarithmic": True}), ([1e-300, 1e300, -1], {"logarithmic": True})],
)  # fmt: skip
def test_an_axis_holds_every_finite_value_whatever_it_is(values, options):
    axis = axis_over(values, 0, 100, **options)
    assert axis.low < axis.high
    for value in values:
        if value is not None and math.isfinite(value) and (value > 0 or not options.get("logarithmic")):
            assert axis.low <= value <= axis.high
    assert axis.ticks() is not None


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12"), (12.34, "12.3"), (0.04, "0"), (-0.04, "0"), (0.5, ".5"), (-0.5, "-.5"), (-3, "-3")]
)
def test_positions_are_written_in_short(value, text):
    assert digits(value) == text


def test_a_line_passes_through_its_points():
    points = [(number / 7, (number * 0.37) % 1) for number in range(70)]
    drawn = positions(line(points, X, Y))
    assert [command for command, *_ in drawn] == ["M", *["L"] * 69]
    for (_, x, y), (across, up) in zip(drawn, points, strict=True):
        assert (x, y) == pytest.approx((X.at(across), Y.at(up)), abs=0.051)


def test_a_line_has_a_gap_where_a_value_is_missing():
    drawn = positions(line([(0, 0), (1, 1), (2, None), (3, math.nan), (4, 0), (5, 1)], X, Y))
    assert drawn == [("M", 0, 50), ("L", 10, 0), ("M", 40, 50), ("L", 50, 0)]


def test_dots_stand_at_whole_positions():
    drawn = [place for place in positions(dots([(0, 1), (1.23, None), (3.33, 0.51)], X, Y)) if place[0] == "M"]
    assert drawn == [("M", 0, 0), ("M", 33, 24)]


def test_bars_stand_on_zero():
    drawn = positions(bars([(2, 0.5), (4, 0), (6, None)], X, Y, 10))
    assert drawn == [("M", 15, 50), ("V", 15, 25), ("H", 25, 25), ("V", 25, 50), ("Z", 25, 50)]


def test_steps_are_the_outline_of_adjacent_bars():
    drawn = positions(steps([0, 5, 10], [0.5, 1], X, Y))
    assert [place[1:] for place in drawn] == [(0, 50), (0, 25), (50, 25), (50, 0), (100, 0), (100, 50), (100, 50)]


def test_an_upright_line_spans_the_height():
    assert positions(upright(5, X, Y)) == [("M", 50, 50), ("V", 50, 0)]


def test_a_frame_labels_the_ticks_of_both_axes():
    shapes, texts = frame(X, Y)
    assert [text.text for text in texts if text.anchor == "middle"] == ["0", "2.5", "5", "7.5", "10"]
    assert [text.text for text in texts if text.anchor == "end"] == ["0", "0.25", "0.5", "0.75", "1"]
    assert [shape.style for shape in shapes] == ["grid", "base"]
    assert all(text.anchor == "end" for text in frame(X, Y, x_labels=False)[1])


def test_texts_are_grouped_by_style_and_anchor():
    texts = [Text(0, 0, "a"), Text(0, 0, "b", style="axis"), Text(0, 0, "c")]
    groups = Chart(1, 1, "", [], texts).text_groups()
    assert [(key, [text.text for text in group]) for key, group in groups] == [
        (("tick", "start"), ["a", "c"]),
        (("axis", "start"), ["b"]),
    ]
