"""Problems: headers by status, and the description of headers."""

import json

import pytest
from fastapi import Request

from jobs.http_status import make_problem
from service.problems import MEDIA_TYPE, header_docs, logged_path, respond, unavailable


@pytest.mark.parametrize(
    ("code", "header"),
    [("auth.required", "www-authenticate"), ("rate.limited", "retry-after"), ("service.unavailable", "retry-after")],
)
def test_a_problem_has_the_headers_of_its_status(code, header):
    response = respond(make_problem(code, "Title", "detail"))
    assert response.headers["content-type"] == MEDIA_TYPE
    assert header in response.headers


def request(path, accept="*/*"):
    return Request({"type": "http", "path": path, "headers": [(b"accept", accept.encode())], "state": {"caller": None}})


def test_an_unavailable_store_is_a_503():
    response = unavailable(request("/v1/jobs"), OSError("refused"))
    assert (response.status_code, json.loads(response.body)["code"]) == (503, "service.unavailable")


def test_a_browser_gets_a_page_with_the_headers_of_the_status():
    page = unavailable(request("/", "text/html"), OSError("refused"))
    assert (page.status_code, page.media_type) == (503, "text/html")
    assert page.headers["retry-after"]
    assert b"service.unavailable" in page.body


def test_the_token_of_a_share_link_is_not_logged():
    assert logged_path("/share/share_1.signature") == "/share/..."
    assert logged_path("/v1/jobs/job_1") == "/v1/jobs/job_1"


def test_header_names_are_written_with_hyphens():
    assert header_docs(Retry_After="Seconds.") == {
        "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}
    }
