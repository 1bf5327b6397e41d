"""A share link shows one report to anybody who has it."""

import httpx
import pytest
from playwright.sync_api import expect


@pytest.fixture
def share(api, jobs):
    return api.post(f"/v1/jobs/{jobs['int4']['id']}/shares", json={"days": 1}).json()


def test_a_link_shows_the_report_to_a_browser_without_a_session(visit, share):
    page = visit().page
    page.goto(share["url"])
    expect(page.get_by_role("heading", level=1)).to_contain_text("digits.onnx")
    expect(page.get_by_text("/classifier/Gemm").first).to_be_attached()


def test_a_link_opens_nothing_else(visit, share):
    page = visit().page
    page.goto(share["url"])
    page.goto("/")
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_revoked_link_shows_nothing(visit, api, jobs, share):
    visitor = visit()
    assert api.delete(f"/v1/jobs/{jobs['int4']['id']}/shares/{share['id']}").status_code == 204
    visitor.page.goto(share["url"])
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Not found")
    assert "digits.onnx" not in visitor.page.content()
    visitor.expect_problem("status of 404")


def test_the_page_with_the_link_tells_other_sites_nothing_and_is_not_kept(served, share):
    headers = httpx.get(f"{served.url}{share['url']}").headers
    assert headers["referrer-policy"] == "no-referrer"
    assert "no-store" in headers["cache-control"]
