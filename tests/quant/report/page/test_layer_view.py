"""The texts and charts of one layer."""

import pytest

from quant.outcome.report.layer import BoundFigure
from quant.report.page.layer_view import (
    READING,
    bound_text,
    facts,
    layer_figures,
    layer_legend,
    missing,
    shift_after_cell,
)
from tests.quant.reports import digits_report


@pytest.fixture
def layer():
    return digits_report("int4").layers[1]


def test_a_layer_has_a_chart_of_every_kind_and_a_text_on_how_to_read_it(layer):
    figures = list(layer_figures(layer))
    assert [figure.title for figure in figures] == [title for title, _ in READING]
    assert all(figure.chart.description.endswith(".") for figure in figures)


def test_the_legend_names_every_style_that_is_not_explained_in_the_chart(layer):
    legend = dict(layer_legend(layer))
    families = {f"line {family}" for family, density in layer.picture.densities.items() if density is not None}
    assert families | {"chosen", "levels", "line rms", "line mae"} <= set(legend)
    assert legend["line student_t"] == "Student's t"


def test_a_layer_without_pictures_has_no_charts_and_says_why(layer):
    bare = layer.model_copy(
        update={"picture": None, "picture_reason": "it is too large", "channels": None, "channels_reason": "no axis"}
    )
    assert list(layer_figures(bare)) == []
    assert layer_legend(bare) == []
    assert missing(bare) == ["No charts of the weights: it is too large.", "No channels: no axis."]


def test_the_facts_have_every_figure_without_a_column(layer):
    titles = [title for title, _ in facts(layer)]
    assert {"Grid, rounding", "Clip rule", "Clipped weights", "Mean absolute error", "Mean squared error",
            "Cosine at the output", "Clipped input values", "Best-fitting family, by row", "Weights",
            "Standard error of the share"} <= set(titles)  # fmt: skip
    assert dict(facts(layer))["Mean absolute error"].startswith(f"{layer.weight.mae:.3g} measured, ")


def test_an_expected_error_that_does_not_exist_is_undefined(layer):
    weight = layer.weight.model_copy(update={"mae_expected": None})
    assert dict(facts(layer.model_copy(update={"weight": weight})))["Mean absolute error"].endswith("undefined")


@pytest.mark.parametrize(
    ("bound", "text"), [((None, True), "unbounded"), ((0.25, False), "0.25"), ((1e9, True), "1e+09, vacuous")]
)
def test_a_bound_in_words(bound, text):
    error, vacuous = bound
    assert bound_text(BoundFigure(error=error, vacuous=vacuous)) == text


def test_a_figure_that_was_not_measured_is_sorted_last(layer):
    cell = shift_after_cell(layer.model_copy(update={"output": None}))
    assert (cell.text, cell.value) == ("not measured", "")
