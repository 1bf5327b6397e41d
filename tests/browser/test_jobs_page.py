"""The list of jobs: filters, the choice of two jobs, deletion."""

from playwright.sync_api import expect

from tests.browser.accessibility import findings_in_every_look
from tests.browser.conftest import after_its_end
from tests.specs import QUICK


def test_a_job_is_listed_with_its_figures(page, jobs):
    page.goto("/")
    row = page.get_by_role("row").filter(has_text="int4")
    summary = jobs["int4"]["summary"]
    expect(row).to_contain_text("digits.onnx")
    expect(row).to_contain_text("branch:main")
    expect(row).to_contain_text("fail")
    expect(row).to_contain_text(f"{summary['output_sqnr_db']:.1f} dB")
    expect(row).to_contain_text(f"{100 * summary['size_ratio']:.1f} %")


FILTERED = {
    "status=failed": [],
    "status=succeeded": ["int4", "int8"],
    "tag=branch:main": ["int4", "int8"],
    "tag=branch:other": [],
    "verdict=fail": ["int4"],
    "name=digits": ["int4", "int8"],
    "name=resnet": [],
}
"""The presets of the listed jobs by the query of the list's address."""


def test_the_list_is_filtered_without_scripts(visit, session, jobs):
    page = visit(storage_state=session, java_script_enabled=False).page
    for query, presets in FILTERED.items():
        page.goto(f"/?{query}")
        listed = page.get_by_role("rowheader").all_inner_texts()
        assert len(listed) == len(presets), query
        assert all(any(preset in text for text in listed) for preset in presets), query


def test_two_selected_jobs_are_compared(page, jobs):
    page.goto("/")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    for preset in jobs:
        page.get_by_role("row").filter(has_text=preset).get_by_role("checkbox").check()
    compare.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare two jobs")


def test_a_job_is_deleted_only_after_a_confirmation(page, api, jobs):
    body = {"model": jobs["int8"]["model"], "spec": QUICK, "tags": {"branch": "old"}}
    job = after_its_end(api, api.post("/v1/jobs", json=body).json())
    page.goto("/?tag=branch:old")
    page.get_by_role("link", name="Delete digits.onnx").click()
    page.get_by_role("link", name="Keep it").click()
    page.go_back()
    page.get_by_role("button", name="Delete the job").click()
    page.wait_for_url(lambda url: not url.endswith("/delete"))
    assert api.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_another_tenant_sees_no_job(visit, jobs, make_key):
    page = visit().page
    page.goto("/")
    page.get_by_label("API key").fill(make_key("stranger"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()


def test_axe_finds_nothing(page, jobs):
    page.goto("/")
    assert findings_in_every_look(page) == []
