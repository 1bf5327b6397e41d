"""The list of jobs and the page of a job follow a job to its end without being loaded again."""

from playwright.sync_api import expect

from tests.specs import QUICK_WEIGHTS


def submitted(api, jobs, seed):
    """A new job that is not taken from an earlier result."""
    ids = {role: jobs["int8"][role] for role in ("model", "calibration", "evaluation")}
    body = {**ids, "spec": {"preset": "int8", "weights": QUICK_WEIGHTS, "seed": seed}}
    return api.post("/v1/jobs", json=body, headers={"Cache-Control": "no-cache"}).json()


def test_the_list_follows_a_job_and_keeps_the_focus(page, api, jobs):
    job = submitted(api, jobs, 1)
    page.goto("/")
    page.evaluate("window.sameDocument = true")
    again = page.locator(f"#again-{job['id']}")
    again.focus()
    row = page.locator(f"#row-{job['id']}")
    expect(row.get_by_role("link", name="Delete")).to_be_visible()
    expect(row).to_contain_text("succeeded")
    expect(page.locator("#announcement")).to_have_text("digits.onnx: succeeded")
    expect(again).to_be_focused()
    assert page.evaluate("window.sameDocument")


def test_the_page_of_a_job_shows_its_result_at_its_end(page, api, jobs):
    job = submitted(api, jobs, 2)
    page.goto(f"/jobs/{job['id']}")
    page.evaluate("window.sameDocument = true")
    page.get_by_role("button", name="Cancel the job").focus()
    expect(page.get_by_role("heading", name="Summary")).to_be_visible()
    expect(page.get_by_role("list", name="Stages")).to_contain_text("storing")
    expect(page.locator("#announcement")).to_have_text("The job is now succeeded")
    expect(page).to_have_title("digits.onnx, succeeded – quantd")
    expect(page.get_by_role("link", name="Download the model")).to_be_focused()
    assert page.evaluate("window.sameDocument")
