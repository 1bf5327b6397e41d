"""The report page as HTML: complete without a script, and safe with every name."""

import json
import re

import pytest

from quant.outcome.page_assets import page_policy, script
from quant.outcome.report import Report
from quant.pipeline import Inputs, quantize_model
from quant.report.layers_csv import layers_csv
from quant.report.page.render import report_html, sample_id
from tests.quant.report.page.document import Document
from tests.quant.reports import EXAMPLES, digits_report, renamed

HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!-- end: verdict -->", '" onload="alert(1)',
    "{{ 7 * 7 }}", "`<img src=x onerror=alert(1)>`", "a" * 3000, "\u202eevil\u0000", "層/🚀", "]]>", "</style>",
]  # fmt: skip
SPECS = {
    "budget": {"preset": "int4", "budget": {"max_size_ratio": 0.2}},
    "search": {"preset": "int4", "objective": "smallest_within_gates", "gates": {"max_top1_drop_points": 2}},
    "weights": {"preset": "int4", "report": "weights", "gates": {"max_latency_ratio": 9}},
}


@pytest.fixture(scope="module", params=["int4", "int8", "no data", *SPECS])
def report(request, tmp_path_factory):
    """The report of a job on the digits network."""
    if request.param == "no data":
        return digits_report("int4-weights", calibrated=False, evaluated=False)
    if request.param not in SPECS:
        return digits_report(request.param)
    out = tmp_path_factory.mktemp("out")
    data = [EXAMPLES / f"digits_{role}.npz" for role in ("calibration", "evaluation")]
    quantize_model(Inputs(EXAMPLES / "digits.onnx", "m.onnx", SPECS[request.param], *data), out, lambda *_: None)
    return Report.model_validate_json((out / "report.json").read_bytes())


@pytest.fixture
def page(report):
    return Document(report_html(report).decode())


def test_every_row_of_every_table_has_a_cell_for_each_heading(page):
    for label, rows in page.tables.items():
        widths = {len(row) for row in rows}
        assert widths - {1} == {len(rows[0])}, label  # the second row of a layer is one cell


def test_ids_are_unique_and_every_reference_has_its_target(page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [href.removeprefix("#") for href in page.values("href")]
    targets += [name for attribute in ("aria-labelledby", "for") for name in page.values(attribute)]
    assert set(targets) <= set(ids)


def test_every_drawing_has_a_text_and_every_scrolling_region_a_name_and_the_keyboard(page):
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or len(attributes["aria-label"]) > 20
        if "scroll" in attributes.get("class", "").split():
            assert (attributes["role"], attributes["tabindex"]) == ("region", "0")
            assert attributes["aria-label"]


def test_the_page_states_its_policy_and_has_nothing_that_it_forbids(page):
    metas = [attributes for tag, attributes in page.elements if tag == "meta"]
    assert {"http-equiv": "Content-Security-Policy", "content": page_policy()} in metas
    assert [text for kind, text in page.scripts if kind is None] == [script()]
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    assert not {"src", "action"} & names
    assert not {"link", "iframe", "object", "img", "form"} & {tag for tag, _ in page.elements}


def test_the_page_offers_the_layers_as_the_csv_file_has_them(page, report):
    (data,) = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert data == {"name": "layers.csv", "csv": layers_csv(report).decode()}


def test_every_figure_of_the_first_screen_is_in_the_text(page, report):
    text = page.text.replace("\u00a0", " ")
    assert report.diagnosis.sentence.replace("`", "") in text
    assert report.model.sha256 in text
    assert f"{100 * report.summary.size_ratio:.1f} %" in text
    for gate in report.gates:
        row = next(row for row in page.tables["Table of gates"] if row[1] == gate.name)
        assert row[0] == ("pass" if gate.passed else "fail")


def test_every_layer_has_its_row_its_facts_and_its_alternatives(page, report):
    rows = [row for row in page.tables["Table of layers"][1:] if len(row) > 1]
    assert {row[0] for row in rows} == {layer.name for layer in report.layers}
    for layer in report.layers:
        assert all(way.spec.strip() in page.text for way in layer.alternatives)


def test_the_styles_of_all_legends_have_different_samples(page):
    styles = re.findall(r'<symbol id="(\w+)"[^>]*><path class="([^"]+)"', report_html(digits_report("int4")).decode())
    assert len({name for name, _ in styles}) == len({style for _, style in styles}) == len(styles) > 5
    assert all(sample_id(style) == name for name, style in styles)


def test_equal_reports_give_equal_pages(report):
    assert report_html(report) == report_html(Report.model_validate_json(report.model_dump_json()))


def test_the_front_and_the_trials_are_shown_where_bits_were_allocated(page, report):
    assert ("Front of size and error" in page.text) == (report.allocation is not None)
    if report.search is not None:
        assert len(page.tables["Table of trials"]) == len(report.search.tried) + 1


def test_gates_on_durations_are_left_out_and_said_to_be(page, report):
    timed = (report.spec["gates"] or {}).get("max_latency_ratio") is not None
    assert ("only gates on durations" in page.text) == timed
    assert "max_latency_ratio" not in json.dumps(page.tables)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_a_hostile_model_are_text(name):
    page = Document(report_html(renamed(digits_report("int4"), name)).decode())
    plain = Document(report_html(renamed(digits_report("int4"), "plain")).decode())
    ours = {"wbr", "a", "code"}  # of a name and its link
    assert [tag for tag, _ in page.elements if tag not in ours] == [tag for tag, _ in plain.elements if tag not in ours]
    assert page.scripts[-1] == plain.scripts[-1]
    assert name.replace("\u0000", "") in page.text.replace("\u0000", "").replace("\ufffd", "")


def test_a_model_that_stays_in_float_has_a_page():
    report = digits_report("int4")
    empty = report.model_copy(update={"layers": (), "worst_layers": ()})
    page = Document(report_html(empty).decode())
    assert "No layer is quantized." in page.text
    assert "Table of layers" not in page.tables


def test_54_layers_with_256_channels_take_less_than_a_megabyte():
    report = digits_report("int4")
    layer = max(report.layers, key=lambda layer: len(layer.channels.channel))
    count, times = 256, 256 // len(layer.channels.channel) + 1
    repeated = {
        field: (getattr(layer.channels, field) * times)[:count]
        for field in ("bound", "sqnr_db", "family", "clip_ratio")
    }
    channels = layer.channels.model_copy(update={**repeated, "channel": tuple(range(count)), "channels": 2048})
    layers = [
        layer.model_copy(update={"name": f"/layer{number // 3}/block.{number}/conv2/Conv", "channels": channels})
        for number in range(54)
    ]
    assert len(report_html(report.model_copy(update={"layers": tuple(layers)}))) < 1_000_000
