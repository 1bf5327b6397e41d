"""Problems: headers by status, and the description of headers."""

import asyncio
import json
from types import SimpleNamespace

import pytest
import redis
from fastapi import Request

from jobs.errors import Conflict, NotFound, Unavailable
from jobs.http_status import make_problem
from service.problems import MEDIA_TYPE, describe_failure, header_docs, logged_path, respond, unavailable
from tests.specs import QUICK


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


@pytest.mark.parametrize(
    ("error", "fault", "status"),
    [
        (NotFound("no job"), None, 404),
        (NotFound("no job"), Unavailable("being compared"), 503),
        (NotFound("no job"), redis.ConnectionError("away"), 503),
        (Conflict("it runs"), Unavailable("being compared"), 409),
    ],
)
def test_only_a_complete_index_says_that_there_is_nothing(error, fault, status):
    def check():
        if fault is not None:
            raise fault

    asked = request("/v1/jobs/job_1")
    asked.scope["app"] = SimpleNamespace(
        state=SimpleNamespace(context=SimpleNamespace(epochs=SimpleNamespace(check=check)))
    )
    response = respond(asyncio.run(describe_failure(asked, error)))
    assert (response.status_code, "retry-after" in response.headers) == (status, status == 503)


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


def test_the_name_of_another_record_of_a_job_is_no_job(http, uploaded):
    job = http.post("/v1/jobs", json={"model": uploaded["model"], "spec": QUICK}).json()
    for path in (f"/v1/jobs/{job['id']}:events", f"/v1/jobs/{job['id']}%00", f"/v1/models/{uploaded['model']}:x"):
        assert (http.get(path).status_code, http.get(path).json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "\\ud800"}', '{"model": "m", "calibration": "\\udfff"}', '{"model": "m", "tags": {"\\ud800": "x"}}',
        '{"model": "m", "webhook": {"url": "https://\\ud800/"}}', '{"model": "m", "spec": {"\\ud800": 1}}',
    ],
)  # fmt: skip
def test_half_a_character_is_refused_and_breaks_nothing(http, body):
    refused = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code in (400, 404, 422), refused.text


def test_a_body_of_unknown_keys_has_a_short_answer(http):
    refused = http.post("/v1/jobs", json={"model": "m", **{f"k{number}": 1 for number in range(20_000)}})
    assert refused.status_code == 400
    assert len(refused.content) < 50_000
    assert refused.json()["errors"][-1]["detail"].endswith("more faults are left out")
