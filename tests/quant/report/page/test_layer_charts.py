"""Charts of one layer, read back from their paths."""

import numpy as np
import pytest

from quant.outcome.report.layer import Channels
from quant.report.page.chart import Axis
from quant.report.page.layer_charts import (
    LEFT,
    MOST_CHANNELS,
    RIGHT,
    bounds_chart,
    channel_chart,
    error_chart,
    histogram_chart,
    quantile_chart,
)
from tests.quant.report.page.paths import drawn
from tests.quant.reports import digits_report


@pytest.fixture
def layer():
    return digits_report("int4").layers[1]


@pytest.fixture
def picture(layer):
    return layer.picture


def test_the_histogram_has_the_proportions_of_the_counts(picture):
    chart = histogram_chart(picture, {})
    tops = [y for command, _, y in drawn(chart, "bars") if command == "H"]
    heights = 186 - np.array(tops)
    counts = np.array(picture.histogram.counts)
    assert heights / heights.max() == pytest.approx(counts / counts.max(), abs=0.002)


def test_the_densities_are_drawn_to_the_scale_of_the_histogram(picture):
    chart = histogram_chart(picture, {})
    histogram = picture.histogram
    total = sum(histogram.counts) + histogram.below + histogram.above
    unit = (186 - min(y for _, _, y in drawn(chart, "bars"))) / (max(histogram.counts) / total / histogram.width)
    for family, density in picture.densities.items():
        heights = 186 - np.array([y for _, _, y in drawn(chart, f"line {family}")])
        assert heights == pytest.approx(np.minimum(np.array(density) * unit, 176), abs=0.2)


def test_the_chosen_bound_and_the_levels_are_marked(picture):
    chart = histogram_chart(picture, {})
    histogram = picture.histogram
    x = Axis(histogram.low, histogram.low + histogram.width * len(histogram.counts), LEFT, RIGHT)
    assert [x for command, x, _ in drawn(chart, "chosen") if command == "M"] == pytest.approx(
        [x.at(-1), x.at(1)], abs=0.1
    )
    levels = [x for command, x, _ in drawn(chart, "levels") if command == "M"]
    assert len(levels) == 15
    assert np.diff(levels) == pytest.approx((x.at(1) - x.at(-1)) / 14, abs=0.11)


def test_many_levels_are_not_drawn(picture):
    assert not drawn(histogram_chart(picture.model_copy(update={"level_step": 1 / 127}), {}), "levels")


def test_the_error_curves_have_a_dot_at_their_minimum(picture):
    chart = error_chart(picture.curve)
    for style in ("rms expected", "rms measured", "mae expected", "mae measured"):
        curve = drawn(chart, f"line {style}")
        assert len(curve) == len(picture.curve.bound)
        lowest = max(curve, key=lambda place: place[2])
        (dot,) = [place for place in drawn(chart, f"dots {style}") if place[0] == "M"]
        assert dot[1:] == pytest.approx(lowest[1:], abs=0.6)
    assert f"measured mean absolute {min(picture.curve.measured_mae):.3g} at" in chart.description


def test_unknown_errors_are_left_out(picture):
    curve = picture.curve.model_copy(update={"expected_mse": None, "expected_mae": None})
    assert {shape.style for shape in error_chart(curve).shapes if "expected" in shape.style} == set()


def test_the_clip_bounds_are_listed_in_ascending_order(picture, layer):
    chart = bounds_chart(picture, layer.clipping)
    bounds = {name: bound for name, bound in picture.clip_bounds.items() if bound is not None}
    names = [text.text for text in chart.texts if text.text in bounds]
    assert names == sorted(bounds, key=lambda name: (bounds[name], name))
    dots = [place for place in drawn(chart, "dots") + drawn(chart, "dots chosen-dot") if place[0] == "M"]
    assert len(dots) == len(bounds)
    assert bounds_chart(picture.model_copy(update={"clip_bounds": {"mse": None}}), "mse") is None


def test_equal_quantiles_lie_on_the_diagonal(picture):
    quantiles = picture.quantiles.model_copy(update={"observed": picture.quantiles.expected})
    chart = quantile_chart(quantiles)
    (_, left, bottom), (_, right, top) = drawn(chart, "diagonal")
    for _, x, y in drawn(chart, "dots"):
        assert (y - bottom) / (top - bottom) == pytest.approx((x - left) / (right - left), abs=0.006)
    assert "largest distance from the diagonal is 0 bounds" in chart.description


def channels(count, family=None):
    values = tuple(float(number) for number in range(count))
    return Channels(
        channel=tuple(range(count)),
        channels=count,
        bound=values,
        sqnr_db=values[::-1],
        family=family,
        clip_ratio=values,
    )


def test_every_channel_has_a_dot_in_both_strips_in_the_colour_of_its_family():
    chart = channel_chart(channels(5, ("gaussian", "laplace", "gaussian", "laplace", "laplace")))
    for family, rows in (("gaussian", [0, 2]), ("laplace", [1, 3, 4])):
        places = [place for place in drawn(chart, f"dots {family}") if place[0] == "M"]
        across = [round(LEFT + (row + 0.5) / 5 * (RIGHT - LEFT)) for row in rows]
        assert [x for _, x, _ in places] == across * 2
        assert max(y for _, _, y in places[: len(rows)]) <= 96 < 126 <= min(y for _, _, y in places[len(rows) :])


def test_the_worst_of_many_channels_are_drawn():
    chart = channel_chart(channels(256))
    assert len([place for place in drawn(chart, "dots") if place[0] == "M"]) == 2 * MOST_CHANNELS
    assert f"the {MOST_CHANNELS} worst of 256" in chart.description
    assert "SQNR: 0.0 (channel 255) to 127.0 dB" in chart.description


def test_a_layer_without_channels_has_an_empty_chart():
    assert channel_chart(channels(0)).description == "Clip bound and SQNR of all output channels."
