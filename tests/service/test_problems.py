"""Problems: headers by status, and the description of headers."""

import json

import pytest

from jobs.http_status import make_problem
from service.problems import MEDIA_TYPE, header_docs, respond, unavailable


@pytest.mark.parametrize(
    ("code", "header"),
    [("auth.required", "www-authenticate"), ("rate.limited", "retry-after"), ("service.unavailable", "retry-after")],
)
def test_a_problem_has_the_headers_of_its_status(code, header):
    response = respond(make_problem(code, "Title", "detail"))
    assert response.headers["content-type"] == MEDIA_TYPE
    assert header in response.headers


def test_an_unavailable_store_is_a_503():
    response = unavailable("/v1/jobs", OSError("refused"))
    assert (response.status_code, json.loads(response.body)["code"]) == (503, "service.unavailable")


def test_header_names_are_written_with_hyphens():
    assert header_docs(Retry_After="Seconds.") == {
        "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}
    }
