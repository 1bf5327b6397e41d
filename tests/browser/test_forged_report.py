"""A report page that a hostile job process wrote: the gateway serves it, and it runs nothing."""

import pytest
from playwright.sync_api import expect

from tests.browser.steps import sign_in

FORGED = """<!doctype html><html lang="en"><title>forged</title><main><h1>Forged</h1>
<script>document.querySelector("h1").textContent = "script ran"</script>
<img src="x" alt="" onerror="document.querySelector('h1').textContent = 'handler ran'">
<a href="javascript:document.querySelector('h1').textContent='link ran'">link</a>
<form action="/jobs"><button>form</button></form>
<iframe src="/" title="service"></iframe><img src="/v1/jobs" alt="">
</main></html>"""


@pytest.fixture
def forged(served, api, jobs):
    """Replace the stored report of a job, and restore it afterwards; return the job."""
    listed = api.get(jobs["int8"]["links"]["artifacts"]).json()["items"]
    (sha256,) = (item["sha256"] for item in listed if item["name"] == "report.html")
    (path,) = (served.stack.folder / "store").rglob(f"{sha256}/report.html")
    original = path.read_bytes()
    path.write_text(FORGED.ljust(len(original)))
    yield jobs["int8"]
    path.write_bytes(original)


def test_a_forged_report_runs_nothing_and_reads_nothing(visit, served, forged):
    visitor = visit()
    page = visitor.page
    page.goto(f"/sign-in?next=/v1/jobs/{forged['id']}/report.html")
    sign_in(page, served.key)
    page.get_by_role("link", name="link").click()
    page.get_by_role("button", name="form").click()
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", level=1)).to_have_text("Forged")
    assert page.url.endswith("report.html")
    assert page.frames[1].url in ("about:blank", "chrome-error://chromewebdata/")
    visitor.expect_problem("Content Security Policy|sandbox")
