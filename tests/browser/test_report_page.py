"""The report, opened from a file as after a download, with the network off."""

import csv
import io
import json
import math

import numpy as np
import onnx
import pytest
from playwright.sync_api import expect

from benchmarks.report_size import resnet50
from quant.pipeline import Inputs, quantize_model
from tests.browser.accessibility import findings, findings_in_every_look
from tests.browser.pdf import compact, printed_text
from tests.specs import UNTIMED

ROWS = "table.layers > tbody"


@pytest.fixture(scope="module")
def folder(api, jobs, tmp_path_factory):
    """The report of the job `int4` as a page and as JSON, after their download."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("report.html", "report.json"):
        (folder / name).write_bytes(api.get(f"/v1/jobs/{jobs['int4']['id']}/artifacts/{name}").content)
    return folder


@pytest.fixture
def report(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.fixture
def open_report(visit, folder):
    def open_file(**settings):
        page = visit(**settings).page
        page.goto((folder / "report.html").as_uri())
        return page

    return open_file


@pytest.fixture
def page(open_report):
    return open_report()


def shown_layers(page):
    return [row.locator("th code").first.inner_text() for row in page.locator(ROWS).all() if row.is_visible()]


def test_the_file_asks_for_nothing_but_itself(visit, folder):
    page = visit().page
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((folder / "report.html").as_uri(), wait_until="networkidle")
    assert requests == [(folder / "report.html").as_uri()]


def test_the_first_screen_says_what_was_lost(page, report):
    expect(page.get_by_role("heading", level=1)).to_have_text("digits.onnx")
    summary = page.get_by_role("region", name="Summary")
    expect(summary).to_contain_text(report["diagnosis"]["sentence"].replace("`", ""))
    for gate in report["gates"]:
        row = summary.get_by_role("row").filter(has_text=gate["name"])
        expect(row).to_contain_text("pass" if gate["passed"] else "fail")


def test_the_layers_are_sorted_by_a_column_with_the_keyboard(page, report):
    heading = page.get_by_role("columnheader", name="Weight SQNR")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    by_sqnr = sorted(report["layers"], key=lambda layer: layer["weight"]["sqnr_db"])
    assert shown_layers(page) == [layer["name"] for layer in by_sqnr]
    expect(heading).to_have_attribute("aria-sort", "ascending")
    page.keyboard.press("Enter")
    assert shown_layers(page) == [layer["name"] for layer in reversed(by_sqnr)]
    expect(heading).to_have_attribute("aria-sort", "descending")


def test_the_layer_that_causes_most_of_the_output_error_is_first(page, report):
    by_share = sorted(report["layers"], key=lambda layer: layer["error_share"], reverse=True)
    assert shown_layers(page) == [layer["name"] for layer in by_share]


def test_the_layers_are_searched_and_filtered_and_the_number_is_spoken(page, report):
    page.get_by_label("Search").fill("residual")
    assert all("residual" in name for name in shown_layers(page))
    page.get_by_label("Search").fill("")
    page.get_by_label("Operator").select_option("Gemm")
    gemms = {layer["name"] for layer in report["layers"] if layer["op"] == "Gemm"}
    assert set(shown_layers(page)) == gemms
    expect(page.get_by_role("status")).to_have_text(f"{len(gemms)} of {len(report['layers'])} layers shown")


def test_a_layer_opens_with_its_charts_by_keyboard(page):
    name = page.locator(ROWS).first.locator("a.name")
    expect(name).to_have_attribute("aria-expanded", "false")
    name.focus()
    page.keyboard.press("Enter")
    expect(name).to_have_attribute("aria-expanded", "true")
    charts = page.locator(ROWS).first.locator("svg[role=img]")
    assert charts.count() >= 4
    for chart in charts.all():
        expect(chart).to_be_visible()
        assert len(chart.get_attribute("aria-label")) > 20


def test_the_lines_of_an_alternative_are_copied(open_report, report):
    page = open_report(permissions=["clipboard-read", "clipboard-write"])
    page.locator(ROWS).first.locator("a.name").click()
    name = shown_layers(page)[0]
    (layer,) = (layer for layer in report["layers"] if layer["name"] == name)
    alternative = layer["alternatives"][0]
    page.locator(ROWS).first.get_by_role("button", name=f"Copy the lines for {alternative['change']}").click()
    assert page.evaluate("navigator.clipboard.readText()").strip() == alternative["spec"].strip()


def test_the_layers_are_downloaded_as_csv(page, report):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"), newline="")))
    assert {row["name"] for row in rows} == {layer["name"] for layer in report["layers"]}
    sqnr = {row["name"]: float(row["weight_sqnr_db"]) for row in rows}
    for layer in report["layers"]:
        assert math.isclose(sqnr[layer["name"]], layer["weight"]["sqnr_db"], rel_tol=1e-3)


def test_everything_is_readable_without_scripts(open_report, report):
    page = open_report(java_script_enabled=False)
    assert set(shown_layers(page)) == {layer["name"] for layer in report["layers"]}
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.locator(ROWS).first.get_by_text("Clip rule")).to_be_visible()


def test_the_print_has_every_column_of_every_layer(page, tmp_path):
    headings = page.get_by_role("region", name="Layers").get_by_role("columnheader").all_inner_texts()
    cells = page.locator(f"{ROWS} > tr:first-child > *").all_inner_texts()
    text = printed_text(page, tmp_path / "report.pdf")
    assert [cell for cell in [*headings, *cells] if compact(cell) not in text] == []


def test_the_verdict_on_paper_is_text_without_a_background(page):
    page.emulate_media(media="print")
    expect(page.locator(".verdict strong")).to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_axe_finds_nothing_while_a_layer_is_open(page):
    page.locator(ROWS).first.locator("a.name").click()
    assert findings_in_every_look(page) == []


def test_axe_finds_nothing_on_the_paper_of_a_dark_screen(page):
    page.emulate_media(media="print", color_scheme="dark")
    assert findings(page) == []


def test_the_report_of_54_layers_is_below_a_megabyte(visit, tmp_path):
    onnx.save(resnet50(np.random.default_rng(0), width=8), tmp_path / "resnet50.onnx")
    spec = {**UNTIMED, "preset": "int4-weights", "weights": {"rounding": "nearest"}, "bias_correction": "none"}
    quantize_model(Inputs(tmp_path / "resnet50.onnx", "resnet50.onnx", spec), tmp_path, lambda *_: None)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    page = visit().page
    page.goto((tmp_path / "report.html").as_uri())
    assert len(shown_layers(page)) == 54
