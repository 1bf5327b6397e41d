"""Charts of the whole model, read back from their paths."""

import pytest

from quant.outcome.report.sections import AllocationPoint, AllocationSection
from quant.report.page.model_charts import EXACT_DB, LEFT, WIDTH, front_chart, network_chart
from tests.quant.report.page.paths import drawn
from tests.quant.reports import digits_report


def titles(chart):
    return [text.text for text in chart.texts if text.style == "axis"]


@pytest.fixture
def layers():
    return digits_report("int4").layers


def test_every_layer_has_its_figures_in_a_column_of_its_own(layers):
    chart = network_chart(layers)
    assert chart.columns.count == len(layers)
    width = (chart.columns.end - chart.columns.start) / len(layers)
    centres = [chart.columns.start + (number + 0.5) * width for number in range(len(layers))]
    outputs = drawn(chart, "line")
    assert [x for _, x, _ in outputs] == pytest.approx(centres, abs=0.1)
    lowest = max(range(len(layers)), key=lambda row: outputs[row][2])
    assert lowest == min(range(len(layers)), key=lambda row: layers[row].output.sqnr_db)
    assert layers[lowest].name in chart.description


def test_the_bars_have_the_proportions_of_the_shares(layers):
    bars = drawn(network_chart(layers), "bars share")
    floor, tops = bars[0][2], [y for command, _, y in bars if command == "H"]
    heights = [floor - top for top in tops]
    shares = [layer.error_share for layer in layers if layer.error_share]
    scale = max(heights) / max(shares)
    assert heights == pytest.approx([share * scale for share in shares], abs=0.2)


def test_mean_shifts_before_and_after_stand_beside_each_other_with_their_errors(layers):
    chart = network_chart(layers)
    before, after = drawn(chart, "dots before"), drawn(chart, "dots after")
    assert len(before) == len(after) == 2 * len(layers)
    assert len([place for place in drawn(chart, "spread after") if place[0] == "M"]) == len(layers)


def test_strips_without_figures_are_left_out():
    layers = digits_report("int4-weights", calibrated=False, evaluated=False).layers
    assert titles(network_chart(layers)) == ["SQNR of the weights, dB", "Bits of a weight", "layer, in network order"]


def test_an_exact_layer_is_drawn_at_the_top_and_does_not_stretch_the_axis(layers):
    weight = layers[0].weight.model_copy(update={"sqnr_db": EXACT_DB})
    chart = network_chart([layers[0].model_copy(update={"weight": weight}), *layers[1:]])
    assert "200" not in [text.text for text in chart.texts]


@pytest.mark.parametrize("count", [1, 2, 24, 25, 300])
def test_a_network_of_any_depth_is_drawn(layers, count):
    chart = network_chart([layers[number % len(layers)] for number in range(count)])
    numbers = [text.text for text in chart.texts if text.anchor == "middle" and text.style == "tick"]
    assert numbers[0] == "1"
    assert len(numbers) == len(set(numbers)) <= 26
    assert chart.width == max(WIDTH, LEFT + 20 + 12 * count)


def test_no_layers_no_chart():
    assert network_chart([]) is None


def point(size_ratio, sqnr_db):
    return AllocationPoint(size_ratio=size_ratio, mean_bits=4, expected_sqnr_db=sqnr_db)


def test_the_front_is_a_line_with_the_chosen_allocation_marked():
    front = (point(0.1, 10), point(0.2, 20), point(0.3, 25))
    chart = front_chart(AllocationSection(max_bytes=None, chosen=front[1], closed_form=point(0.2, 18), front=front))
    places = drawn(chart, "line front")
    (chosen,) = [place for place in drawn(chart, "dots chosen-dot") if place[0] == "M"]
    assert chosen[1:] == pytest.approx(places[1][1:], abs=0.6)
    assert places[0][1] < places[1][1] < places[2][1]
    assert places[0][2] > places[1][2] > places[2][2]
    assert "20.0 % of the float size, 4.00 bits per weight, 20.0 dB" in chart.description


def test_a_front_of_one_point_is_drawn():
    only = point(0.1, 10)
    assert drawn(front_chart(AllocationSection(max_bytes=1, chosen=only, closed_form=only, front=(only,))), "dots")
