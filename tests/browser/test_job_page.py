"""The page of one job: its embedded report, its artifacts, its commands and its share links."""

import hashlib

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import findings_in_every_look


@pytest.fixture
def job(jobs):
    return jobs["int4"]


@pytest.fixture
def page(page, job):
    page.goto(f"/jobs/{job['id']}")
    return page


def test_the_gates_are_shown_with_value_limit_and_margin(page, job):
    table = page.get_by_role("region", name="Gates", exact=True).first
    for gate in job["gates"]:
        row = table.get_by_role("row").filter(has_text=gate["name"])
        expect(row).to_contain_text("pass" if gate["passed"] else "fail")


def test_the_embedded_report_works_in_its_sandbox(page):
    frame = page.locator("iframe.report")
    frame.scroll_into_view_if_needed()
    assert "allow-same-origin" not in frame.get_attribute("sandbox")
    report = page.frame_locator("iframe.report")
    report.get_by_label("Search").fill("classifier")
    expect(report.get_by_role("status")).to_contain_text("1 of 7")


def test_the_report_opens_alone(page):
    page.get_by_role("link", name="Open the report alone").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("digits.onnx")
    page.get_by_label("Search").fill("classifier")
    expect(page.get_by_role("status")).to_contain_text("1 of 7")


def test_an_artifact_is_downloaded_as_listed(page):
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="model.onnx"))
    with page.expect_download() as download:
        row.get_by_role("link", name="model.onnx").click()
    expect(row).to_contain_text(hashlib.sha256(download.value.path().read_bytes()).hexdigest())


def test_the_command_is_copied(visit, session, job):
    page = visit(storage_state=session, permissions=["clipboard-read", "clipboard-write"]).page
    page.goto(f"/jobs/{job['id']}")
    page.get_by_role("button", name="Copy From the stored files, with curl").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert job["model"] in copied
    assert "/v1/jobs" in copied


def test_a_report_is_shared_and_the_link_revoked(visit, page):
    page.get_by_label("New link, valid for").select_option("1")
    page.get_by_role("button", name="Share the report").click()
    link = page.get_by_role("region", name="Share links").last.get_by_role("link").first
    stranger = visit()
    stranger.page.goto(link.get_attribute("href"))
    expect(stranger.page.get_by_role("heading", level=1)).to_have_text("digits.onnx")
    page.get_by_role("button", name="Revoke").first.click()
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    stranger.page.reload()
    expect(stranger.page.get_by_role("heading", level=1)).to_have_text("Not found")
    stranger.expect_problem("status of 404")


def test_axe_finds_nothing_while_a_report_is_shared(page, api, job):
    api.post(f"/v1/jobs/{job['id']}/shares", json={"days": 1})
    page.reload()
    expect(page.get_by_role("button", name="Revoke")).to_be_visible()
    assert findings_in_every_look(page) == []
