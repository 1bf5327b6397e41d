"""The comparison of two jobs in a browser."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import findings_in_every_look


@pytest.fixture
def comparison(page, jobs):
    page.goto(f"/compare?a={jobs['int4']['id']}&b={jobs['int8']['id']}")
    expect(page.get_by_role("heading", name="Compare two jobs")).to_be_visible()
    return page


def test_figures_gates_layers_and_specs_stand_side_by_side(comparison):
    summary = comparison.get_by_role("region", name="Summary")
    row = summary.get_by_role("row").filter(has_text="Output SQNR").first
    expect(row).to_contain_text("better")
    gates = comparison.get_by_role("region", name="Gates")
    expect(gates.get_by_role("row").filter(has_text="max_size_ratio")).to_contain_text("not set")
    layers = comparison.get_by_role("region", name="Layers")
    expect(layers.get_by_role("row").filter(has_text="/classifier/Gemm")).to_contain_text("bits 4 → 8")
    spec = comparison.get_by_role("region", name="Specs")
    expect(spec.get_by_role("row").filter(has_text="/preset")).to_contain_text('"int4"')


def test_both_jobs_are_swapped(comparison, jobs):
    comparison.get_by_role("link", name="Swap A and B").click()
    comparison.wait_for_url(f"**/compare?a={jobs['int8']['id']}&b={jobs['int4']['id']}")
    row = comparison.get_by_role("region", name="Summary").get_by_role("row").filter(has_text="Output SQNR").first
    expect(row).to_contain_text("worse")


def test_a_job_is_chosen_from_a_list(page, jobs):
    page.goto("/compare")
    for letter, preset in (("Baseline (A)", "int4"), ("Compared with it (B)", "int8")):
        page.get_by_label(letter).select_option(value=jobs[preset]["id"])
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("region", name="Summary")).to_be_visible()


def test_axe_finds_nothing(comparison):
    assert findings_in_every_look(comparison) == []


def test_axe_finds_nothing_where_a_job_is_chosen(page, jobs):
    page.goto(f"/compare?a={jobs['int4']['id']}")
    assert findings_in_every_look(page) == []
