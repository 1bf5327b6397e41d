"""The outermost middleware: request ids, body limits, metrics, and problems for unexpected errors."""

import asyncio

import httpx
import pytest
from fastapi.routing import APIRoute

from jobs.settings import Settings
from service.app import create_app
from service.edge import DOCUMENT_BYTES, SAFE_POLICY, body_limit


@pytest.mark.parametrize(
    ("sent", "returned"),
    [("ci-7", True), ("a" * 128, True), ("", False), ("a" * 129, False), ("a b", False), ("<x>", False)],
)
def test_a_request_id_is_returned_or_created(http, sent, returned):
    found = http.get("/livez", headers={"X-Request-ID": sent}).headers["x-request-id"]
    assert (found == sent) is returned
    assert len(found) == 32 or returned


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/openapi.json", "/v1/jobs", "/v1/jobs/nothing", "/nothing"])
def test_a_response_without_a_policy_of_its_own_can_run_nothing(http, path):
    headers = http.get(path).headers
    assert (headers["content-security-policy"], headers["x-content-type-options"]) == (SAFE_POLICY, "nosniff")
    assert http.get("/").headers["content-security-policy"] != SAFE_POLICY


def test_the_body_limit_depends_on_the_path():
    settings = Settings(max_model_bytes=1000, max_dataset_bytes=100)
    assert body_limit("/v1/jobs", settings) == DOCUMENT_BYTES
    assert body_limit("/v1/models", settings) == DOCUMENT_BYTES + 1000
    assert body_limit("/v1/quantize", settings) == DOCUMENT_BYTES + 1200


def unfinished(parts=200, size=64 << 10):
    for _ in range(parts):
        yield b"x" * size


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/x/cancel", "/v1/nothing"])
@pytest.mark.parametrize("body", [b"x" * (DOCUMENT_BYTES + 1), unfinished], ids=["announced", "streamed"])
def test_a_document_over_the_limit_is_413_and_the_connection_survives(http, path, body):
    content = body() if callable(body) else body
    response = http.post(path, content=content, headers={"Content-Type": "application/json"})
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == (413 if path == "/v1/jobs" else 404)
    assert http.get("/livez").status_code == 200


def test_an_unknown_method_creates_no_time_series(http):
    assert http.request("PROPFIND", "/v1/jobs").status_code == 405
    counted = http.get("/metrics").text
    assert "PROPFIND" not in counted
    assert 'method="other"' in counted


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example.org"}, 421),
        ({"Host": "127.0.0.1.evil.example.org"}, 421),
        ({"Host": "["}, 421),
        ({"Origin": "https://evil.example.org"}, 421),
        ({"Origin": "null"}, 421),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 421),
    ],
    ids=str,
)
def test_without_keys_foreign_hosts_and_origins_are_refused(http, headers, status):
    assert http.get("/v1/jobs", headers=headers).status_code == status


def test_an_unexpected_error_is_a_problem_without_a_traceback(tmp_path, capsys):
    settings = Settings(redis_url=f"unix://{tmp_path}/none.sock", store_url=tmp_path.as_uri())

    async def ask(path):
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            app.router.routes.insert(0, APIRoute("/docs", broken))  # a public path, which asks no store
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return await client.get(path)

    def broken():
        raise RuntimeError("a secret")

    response = asyncio.run(ask("/docs"))
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.headers["x-request-id"]
    assert "secret" not in response.text
    assert "a secret" in capsys.readouterr().out
    away = asyncio.run(ask("/v1/jobs"))
    assert (away.status_code, away.json()["code"]) == (503, "service.unavailable")
    assert away.headers["retry-after"]
    ready = asyncio.run(ask("/readyz"))
    assert (ready.status_code, "record store" in ready.json()["detail"]) == (503, True)
