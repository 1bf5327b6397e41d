"""The page for a new job: faults are shown where they are, and nothing that was typed is lost."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import findings, findings_in_every_look


@pytest.fixture
def page(page, jobs):
    page.goto("/new")
    return page


def test_a_fault_is_shown_at_its_line_while_the_spec_is_typed(page):
    page.get_by_role("textbox", name="Options").fill("seed: 0\nweights:\n  bits: 1\n")
    fault = page.get_by_role("link", name="Line 3")
    expect(fault).to_be_visible()
    fault.click()
    expect(page.get_by_role("textbox", name="Options")).to_be_focused()
    assert page.evaluate("document.activeElement.value.slice(document.activeElement.selectionStart)") == "  bits: 1\n"


def test_a_refused_job_keeps_what_was_typed(visit, session, jobs):
    visitor = visit(storage_state=session)
    page = visitor.page
    page.goto("/new")
    page.get_by_role("radio", name="int4", exact=False).first.check()
    page.get_by_role("textbox", name="Tags").fill("branch: main")
    page.get_by_role("textbox", name="max_size_ratio").fill("much")
    page.get_by_role("button", name="Start the job").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The job was not started")
    expect(alert).to_be_focused()
    expect(page.get_by_role("textbox", name="Tags")).to_have_value("branch: main")
    gate = page.get_by_role("textbox", name="max_size_ratio")
    expect(gate).to_have_value("much")
    expect(gate).to_have_attribute("aria-invalid", "true")
    assert findings(page) == []
    visitor.expect_problem("status of 422")


def test_a_broken_model_is_refused_with_the_reason(visit, session, jobs, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    visitor = visit(storage_state=session)
    visitor.page.goto("/new")
    visitor.page.locator("#file-model").set_input_files(path)
    expect(visitor.page.get_by_role("status").filter(has_text="broken.onnx was not uploaded")).to_be_visible()
    visitor.expect_problem("Failed to load resource")


def test_a_plan_shows_the_size_of_every_preset_and_one_is_chosen(page, jobs):
    page.get_by_label("Model", exact=True).select_option(jobs["int4"]["model"])
    page.get_by_role("button", name="Plan first").click()
    title = page.get_by_role("heading", name="Plan", exact=True)
    expect(title).to_be_focused()
    assert findings(page) == []
    page.get_by_role("button", name="Choose int4", exact=True).click()
    expect(page.locator("input[name=preset][value=int4]")).to_be_checked()


def test_axe_finds_nothing(page):
    assert findings_in_every_look(page) == []
