"""The frame of the pages: content policy, CSRF tokens, requests of foreign pages, errors as pages."""

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.app import API_ROUTERS, PAGE_ROUTERS
from service.browser import READING
from service.pages.frame import CONTENT_POLICY, check_csrf

PAGES = ["/", "/new", "/compare", "/docs", "/sign-in", "/jobs/nothing", "/jobs/{job}", "/jobs/{job}/delete", "/nothing"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_strict_policy_and_is_not_stored(alice, shared_job, path):
    headers = alice.client.get(path.format(job=shared_job["id"])).headers
    assert headers["content-security-policy"] == CONTENT_POLICY
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_the_policy_permits_nothing_inline_no_other_host_and_no_frame_around_a_page():
    rules = dict(rule.split(" ", 1) for rule in CONTENT_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in CONTENT_POLICY


@pytest.mark.parametrize("path", PAGES)
def test_no_page_holds_inline_scripts_styles_or_other_hosts(alice, shared_job, path):
    page = alice.client.get(path.format(job=shared_job["id"])).text
    assert "<style" not in page
    assert "style=" not in page
    assert all("src=" in script for script in page.split("<script")[1:])
    assert 'src="http' not in page
    assert 'src="//' not in page


def test_answers_to_a_session_are_never_stored_by_the_browser(alice, shared_job):
    for path in (shared_job["links"]["self"], shared_job["links"]["report_html"], "/v1/jobs"):
        answer = alice.client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


def test_a_change_through_the_api_needs_the_token_in_a_header(alice):
    for headers in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "é".encode()}):
        refused = alice.client.post("/v1/jobs", json={"model": "x"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.csrf")
    accepted = alice.client.post("/v1/jobs", json={"model": "x"}, headers={"X-CSRF-Token": alice.csrf_token})
    assert accepted.json()["code"] == "not_found"


def test_a_change_through_a_page_needs_the_token_in_its_form_or_a_header(alice, shared_job):
    path = f"/jobs/{shared_job['id']}/shares"
    for data in ({"days": "1"}, {"days": "1", "csrf_token": "x"}, {"days": "1", "csrf_token": ""}):
        refused = alice.client.post(path, data=data)
        assert refused.status_code == 403
        assert "reload the page" in refused.text
    assert alice.client.post(path, data={"days": "1", "csrf_token": alice.csrf_token}).status_code == 303
    assert alice.client.post(path, data={"days": "1"}, headers={"X-CSRF-Token": alice.csrf_token}).status_code == 303


def test_the_token_of_one_session_is_none_for_another(alice, new_person, shared_job):
    other = new_person("alice")
    refused = other.client.post(f"/jobs/{shared_job['id']}/shares", data={"days": 1, "csrf_token": alice.csrf_token})
    assert refused.status_code == 403


def test_the_token_does_not_reveal_the_session(alice):
    page = alice.client.get("/")
    assert alice.client.cookies["quantd"] not in page.text
    assert alice.csrf_token != alice.client.cookies["quantd"]


def test_every_route_that_changes_something_checks_the_token():
    """The guard checks it below /v1/; everywhere else the route must."""
    app = FastAPI()
    for router in (*API_ROUTERS, *PAGE_ROUTERS):
        app.include_router(router)
    unsafe = [
        route
        for router in (*API_ROUTERS, *PAGE_ROUTERS)
        for route in router.routes
        if isinstance(route, APIRoute) and route.methods - READING and not route.path.startswith("/v1/")
    ]
    assert {"/sign-out", "/jobs/{job_id}/shares"} <= {route.path for route in unsafe}
    for route in unsafe:
        assert check_csrf in [dependency.dependency for dependency in route.dependencies], route.path


FOREIGN = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_changes_nothing_even_with_the_token(alice, shared_job, headers):
    headers = {**headers, "X-CSRF-Token": alice.csrf_token}
    assert alice.client.post(f"/jobs/{shared_job['id']}/shares", data={"days": "1"}, headers=headers).status_code == 421
    assert alice.client.delete(shared_job["links"]["self"], headers=headers).status_code == 421


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/", "/v1/jobs"])
def test_a_foreign_page_embeds_nothing_of_a_session(alice, path, headers):
    assert alice.client.get(path, headers={**headers, "Sec-Fetch-Mode": "no-cors"}).status_code == 421


def test_a_link_on_a_foreign_page_opens_a_page(alice):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert alice.client.get("/", headers=link).status_code == 200
    assert alice.client.post("/sign-out", headers=link).status_code == 421
    frame = link | {"Sec-Fetch-Dest": "iframe"}
    assert alice.client.get("/", headers=frame).status_code == 421


def test_a_key_in_a_header_needs_no_token(alice, keyed):
    headers = {"Authorization": f"Bearer {alice.key}", "Origin": "https://dashboard.example"}
    answer = httpx.post(f"{keyed.url}/v1/jobs", json={"model": "x"}, headers=headers)
    assert answer.json()["code"] == "not_found"


def test_a_wrong_key_in_a_header_is_not_replaced_by_the_session(alice):
    assert alice.client.get("/v1/jobs", headers={"Authorization": "Bearer qd_x"}).status_code == 401


def test_without_authentication_foreign_pages_are_refused(http):
    for headers in (*FOREIGN, {"Host": "evil.example"}):
        assert http.get("/", headers=headers).status_code == 421
        assert http.post("/v1/jobs", json={}, headers=headers).status_code == 421


def test_an_error_of_a_page_is_a_page_with_escaped_text(alice):
    missing = alice.client.get("/%3Cscript%3Ealert(1)%3C/script%3E")
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
    assert "<script>" not in missing.text
    assert "&lt;script&gt;" in missing.text


def test_an_error_is_a_problem_document_for_anything_but_a_page(alice):
    for path, accept in (("/nothing", "*/*"), ("/v1/jobs/x", "text/html")):
        answer = alice.client.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["x/livez?", "x/sign-in#", "x/static/", "[", "x:y", "", "a b"])
def test_no_host_makes_a_path_public(keyed, host):
    assert httpx.get(f"{keyed.url}/v1/jobs", headers={"Host": host}).status_code in (400, 401)


def test_no_answer_repeats_the_host_of_the_request(keyed, shared_job):
    headers = {"Host": "evil.example", "Accept": "text/html", "X-Forwarded-Host": "evil.example"}
    for path in ("/", "/sign-in", "/docs", "/nothing"):
        answer = httpx.get(keyed.url + path, headers=headers)
        assert "evil.example" not in answer.text + str(answer.headers)
