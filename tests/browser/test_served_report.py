"""The report as the service serves it: its script runs in a sandbox without an origin."""

import csv
import io

import pytest
from playwright.sync_api import expect


@pytest.fixture
def page(visit, api, jobs):
    """The report of the job `int4` behind a share link."""
    share = api.post(f"/v1/jobs/{jobs['int4']['id']}/shares", json={"days": 1}).json()
    page = visit().page
    page.goto(share["url"])
    return page


def test_the_page_has_no_origin_and_cannot_read_the_service(page):
    assert page.evaluate("self.origin") == "null"
    assert page.evaluate("document.querySelector('table.layers') !== null")


def test_the_layers_are_downloaded(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "layers.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(), newline="")))
    assert "/classifier/Gemm" in {row["name"] for row in rows}


def test_lines_for_the_spec_are_copied(page):
    row = page.locator("table.layers > tbody").first
    row.locator("a.name").click()
    button = row.get_by_role("button", name="Copy").first
    button.click()
    expect(button).to_have_text("Copied")


def test_the_page_names_its_job_and_its_latency(page, jobs):
    summary = page.get_by_role("region", name="Summary")
    expect(summary).to_contain_text(jobs["int4"]["id"])
    expect(page.get_by_role("region", name="Latency", exact=True)).to_be_visible()
    expect(summary.get_by_text("1 of 2 gates passed")).to_be_visible()
