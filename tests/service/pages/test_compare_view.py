"""The comparison of two jobs in words."""

import pytest

from quant.outcome.better import Better
from quant.outcome.comparison import Comparison, LayerChange, SettingChange
from quant.outcome.report.changes import FigureChange
from service.pages.compare_view import LAYERS, comparison_view, pair
from tests.service.pages.comparisons import comparison, layer


@pytest.mark.parametrize(
    ("a", "b", "unit", "difference_unit", "texts"),
    [
        (26.5, 28.4, "dB", None, ("26.50 dB", "28.40 dB", "+1.90 dB")),
        (26.5, 26.5, "dB", None, ("26.50 dB", "26.50 dB", "same")),
        (26.5, 26.5002, "dB", None, ("26.50 dB", "26.50 dB", "+0.0002 dB")),
        (-3.25, 26.5, "dB", None, ("−3.25 dB", "26.50 dB", "+29.75 dB")),
        (26.5, 200.0, "dB", None, ("26.50 dB", "exact", "")),
        (46023, 76138, "bytes", None, ("46 kB", "76.1 kB", "+30.1 kB")),
        (76138, 46023, "bytes", None, ("76.1 kB", "46 kB", "−30.1 kB")),
        (91.5, 91.0, "%", "points", ("91.50 %", "91.00 %", "−0.50 points")),
        (0.25, 0.18, "", None, ("0.25", "0.18", "−0.07")),
        (None, 26.5, "dB", None, ("–", "26.50 dB", "")),
    ],
)
def test_a_figure_of_both_jobs_has_its_difference(a, b, unit, difference_unit, texts):
    shown = pair(FigureChange.of(a, b, Better.HIGHER), unit, difference_unit)
    assert (shown.a, shown.b, shown.difference) == texts


def test_every_part_is_told_in_words():
    view = comparison_view(comparison())
    assert [row.title for row in view.metrics] == ["Size", "Output SQNR"]
    assert view.metrics[1].figures.change == "better"
    gate = view.gates[0]
    assert (gate.a, gate.b, gate.change) == ("26.5 dB, at least 30 dB", "41 dB, at least 30 dB", "better")
    assert view.gates[1].a == ""
    assert view.gates[1].b == "not measured, at most 0.3"
    assert view.layers[0].settings == ("bits 4 → 8", "block size 32 → none", "weight shape 8x4 → 8x5")
    assert view.layers[0].share.difference == "+10.0 points"
    assert view.only_in_a[0].text == "4 bits, output 12.00 dB, weights 20.00 dB"
    assert [(row.pointer, row.a, row.b) for row in view.spec] == [
        ("/weights/bits", "4", "8"),
        ("/layers/0", "not set", '{"match": "ü"}'),
    ]


def test_only_changed_layers_are_listed_and_not_too_many():
    same = layer("same", 20.0, 20.0)
    many = [layer(str(number), 20.0, 30.0) for number in range(LAYERS + 3)]
    view = comparison_view(comparison(layers=(*many, same)))
    assert (len(view.layers), view.more_layers, view.same_layers) == (LAYERS, 3, 1)


def test_a_view_is_made_of_a_comparison_from_the_api():
    again = Comparison.model_validate_json(comparison().model_dump_json())
    assert comparison_view(again) == comparison_view(comparison())


def test_a_setting_of_a_shape_is_one_text():
    changed = LayerChange(
        **{**layer("x", 1.0, 1.0).model_dump(), "settings": (SettingChange(key="weight_shape", a=(1, 2), b=None),)}
    )
    assert comparison_view(comparison(layers=(changed,))).layers[0].settings == ("weight shape 1x2 → none",)
