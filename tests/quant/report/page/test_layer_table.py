"""The table of layers."""

import pytest

from quant.report.page import layer_table
from quant.report.page.layer_table import common_reasons, layer_views, network_note, table_columns
from tests.quant.reports import digits_report


@pytest.fixture
def report():
    return digits_report("int4")


def titles(columns):
    return [column.title for column in columns]


def test_the_layers_with_the_largest_share_of_the_error_come_first(report):
    columns = table_columns(report)
    (column,) = (column for column in columns if column.sorted)
    assert (column.title, column.sorted) == ("Share of weights’ error", "descending")
    views = layer_views(report, columns, [])
    shares = [view.entry.error_share for view in views]
    assert shares == sorted(shares, reverse=True)
    assert [view.worst for view in views] == [True] * 5 + [False] * 2
    assert [report.layers[view.number - 1] for view in views] == [view.entry for view in views]


def test_without_shares_those_with_the_least_output_sqnr_come_first(report):
    bare = [layer.model_copy(update={"error_share": None}) for layer in report.layers]
    columns = table_columns(report.model_copy(update={"layers": tuple(bare)}))
    views = layer_views(report, columns, [])
    assert "Share of weights’ error" not in titles(columns)
    assert [view.entry.output.sqnr_db for view in views] == sorted(layer.output.sqnr_db for layer in report.layers)


def test_without_calibration_data_those_with_the_least_weight_sqnr_come_first():
    report = digits_report("int4-weights", calibrated=False, evaluated=False)
    columns = table_columns(report)
    assert titles(columns) == ["Layer", "No.", "Operator", "Weight", "Bits", "Weight SQNR", "Size"]
    views = layer_views(report, columns, [])
    assert [view.entry.weight.sqnr_db for view in views] == sorted(layer.weight.sqnr_db for layer in report.layers)


def test_layers_without_the_figure_come_last(report):
    layers = (report.layers[0].model_copy(update={"error_share": None}), *report.layers[1:])
    report = report.model_copy(update={"layers": layers})
    assert layer_views(report, table_columns(report), [])[-1].number == 1


def test_every_column_of_a_figure_says_what_it_is(report):
    assert [column.title for column in table_columns(report) if not column.meaning] == ["Operator"]


def test_the_cells_show_the_figures(report):
    columns = table_columns(report)
    for view in layer_views(report, columns, []):
        texts = dict(zip(titles(columns)[2:], (cell.text for cell in view.cells), strict=True))
        layer = view.entry
        assert texts["Operator"] == layer.op
        assert texts["Share of weights’ error"] == f"{100 * layer.error_share:.1f} %"
        assert texts["Output SQNR"] == f"{layer.output.sqnr_db:.1f} dB"
        assert texts["Weight SQNR"] == f"{layer.weight.sqnr_db:.1f} dB"
        assert texts["Bits"] == str(layer.bits)
        before, after = (texts[title].split(" ±")[0] for title in ("Shift before", "Shift after"))
        error = layer.output.mean_shift_after_standard_error
        assert float(before) == pytest.approx(layer.output.mean_shift_before, rel=0.1)
        assert float(after) == pytest.approx(layer.output.mean_shift_after, abs=error)


def test_a_reason_that_holds_for_all_layers_stands_once():
    report = digits_report("int4-weights", calibrated=False, evaluated=False)
    common = common_reasons(report)
    columns = table_columns(report)
    views = layer_views(report, columns, common)
    assert any("No share of the output error: without calibration data" in sentence for sentence in common)
    assert all(sentence not in view.missing for view in views for sentence in common)
    note = network_note(columns, views, common)
    assert note.startswith("The table begins with the smallest weight SQNR; its first 5 layers are marked red. No ")


def test_the_charts_of_the_worst_layers_are_drawn(report, monkeypatch):
    monkeypatch.setattr(layer_table, "MAX_DRAWN", 2)
    views = layer_views(report, table_columns(report), [])
    assert [bool(view.figures) for view in views] == [True] * 2 + [False] * 5
    assert "2 worst layers only" in views[-1].missing[-1]
    assert len(report.layers) == len(views)
