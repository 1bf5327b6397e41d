"""The HTML page shows the figures of report.json, in tables whose rows have a cell for every heading."""

import json
from html.parser import HTMLParser

import pytest

from quant.pipeline import Inputs, quantize_model


class Tables(HTMLParser):
    """The texts of each table's cells, row by row, under the heading above it; and the number of drawn dots."""

    def __init__(self, page):
        super().__init__()
        self.page = page
        self.tables, self.dots, self.text, self._heading, self._open = {}, 0, "", "", ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.dots += tag == "circle"
        if tag in ("h2", "th", "td"):
            self._open = tag
        if tag == "h2":
            self._heading = ""
        elif tag == "table":
            self.tables[self._heading.split(" (")[0].strip()] = self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        self._open = "" if tag == self._open else self._open

    def handle_data(self, data):
        self.text += data
        if self._open == "h2":
            self._heading += data
        elif self._open:
            self._rows[-1][-1] += data


@pytest.fixture
def quantize(tmp_path, examples):
    """Return a function that runs a job and returns its report as tables and as JSON."""

    def run(spec, *, calibrated=True, name="m.onnx"):
        data = [examples / f"digits_{role}.npz" for role in ("calibration", "evaluation")] if calibrated else []
        quantize_model(Inputs(examples / "digits.onnx", name, spec, *data), tmp_path, lambda *_: None)
        return Tables((tmp_path / "report.html").read_text()), json.loads((tmp_path / "report.json").read_text())

    return run


SPECS = {
    "full": {"preset": "int4"},
    "weights": {"preset": "int4", "report": "weights"},
    "budget": {"preset": "int4", "budget": {"max_size_ratio": 0.2}},
    "search": {"preset": "int4", "objective": "smallest_within_gates", "gates": {"max_top1_drop_points": 2}},
}


@pytest.mark.parametrize("name", SPECS)
def test_every_row_of_every_table_has_a_cell_for_each_heading(quantize, name):
    page, report = quantize(SPECS[name])
    assert all(len(rows) > 1 for title, rows in page.tables.items() if title != "Compared candidates")
    for title, rows in page.tables.items():
        assert len({len(row) for row in rows}) == 1, title
    assert [row[0] for row in page.tables["Layers"][1:]] == [layer["name"] for layer in report["layers"]]


def test_the_layer_table_shows_output_and_weight_errors(quantize):
    page, report = quantize(SPECS["full"])
    heading, *rows = page.tables["Layers"]
    for row, layer in zip(rows, report["layers"], strict=True):
        cells = dict(zip(heading, row, strict=True))
        assert cells["output SQNR"] == f"{layer['output']['sqnr_db']:.1f} dB"
        assert cells["weight SQNR"] == f"{layer['weight']['sqnr_db']:.1f} dB"
        before, after = (float(shift.split(" ±")[0]) for shift in cells["mean shift"].split(" → "))
        assert before == pytest.approx(layer["output"]["mean_shift_before"], rel=0.05)
        assert after == pytest.approx(layer["output"]["mean_shift_after"], rel=0.05)
    compared = {candidate.removesuffix(" chosen"): figure for figure, candidate in page.tables["Compared candidates"]}
    assert compared == {candidate: f"{sqnr:.1f} dB" for candidate, sqnr in report["compared"]["output_sqnr_db"].items()}
    total = report["total_mean_shift"]
    assert f"{total['after']:.2g} ±{total['after_standard_error']:.1g} in the quantized model" in page.text


def test_vacuous_bounds_are_folded_away(quantize):
    page, report = quantize(SPECS["full"])
    shown, folded = page.text.split("Error bounds (")[1].split("Vacuous bounds")
    assert any(layer["bound"]["interval"]["vacuous"] for layer in report["layers"])
    for layer in report["layers"]:
        assert layer["name"] in (folded if layer["bound"]["interval"]["vacuous"] else shown)
    assert "<details>" in page.page


def test_the_layers_with_the_least_output_sqnr_are_red(quantize):
    page, report = quantize(SPECS["full"])
    worst = sorted(report["layers"], key=lambda layer: layer["output"]["sqnr_db"])[: len(report["worst_layers"])]
    assert (report["worst_layers"], report["worst_layers_by"]) == ([layer["name"] for layer in worst], "output_sqnr_db")
    assert page.page.count("background: var(--bad)") == len(worst)
    page, report = quantize(SPECS["weights"])
    worst = sorted(report["layers"], key=lambda layer: layer["weight"]["sqnr_db"])[: len(report["worst_layers"])]
    assert (report["worst_layers"], report["worst_layers_by"]) == ([layer["name"] for layer in worst], "weight_sqnr_db")
    assert page.page.count("background: var(--bad)") == len(worst)


@pytest.mark.parametrize(("spec", "calibrated"), [(SPECS["weights"], True), ({"preset": "int4-weights"}, False)])
def test_figures_that_were_not_measured_have_no_column(quantize, spec, calibrated):
    page, _ = quantize(spec, calibrated=calibrated)
    assert not {"output SQNR", "mean shift", "error bound"} & set(page.tables["Layers"][0])
    assert "layers' outputs: not measured" in page.text


def test_allocations_are_drawn_and_trials_are_listed(quantize):
    page, report = quantize(SPECS["budget"])
    assert page.dots == len(report["allocation"]["front"]) + 2
    page, report = quantize(SPECS["search"])
    heading, *rows = page.tables["Search"]
    assert heading == ["size", "bits per weight", "max_top1_drop_points 2"]
    assert len(rows) == len(report["search"]["tried"])


def test_names_from_the_upload_are_escaped(quantize):
    page, _ = quantize({"preset": "int8-weights"}, calibrated=False, name="<svg><circle></circle></svg>.onnx")
    assert page.dots == 0
    assert "<circle>" in page.text
