"""Requests that a misspelling would change are refused: query parameters, content types, keys and values."""

import asyncio

import pytest
from fastapi import Request
from fastapi.routing import APIRoute

from jobs.errors import BadRequest
from service import request_checks


def refused(response, status=400, code="request.invalid"):
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return response.json()


@pytest.mark.parametrize(
    ("path", "names", "accepted"),
    [
        ("/v1/jobs?stauts=queued", "unknown parameter `stauts`: did you mean `status`?", "accepted: limit, cursor, "),
        ("/v1/models?limt=3", "unknown parameter `limt`: did you mean `limit`?", "accepted: limit, cursor"),
        ("/v1/jobs/x/report?format=html", "unknown parameter `format`", "accepted: none"),
        ("/v1/version?x=1", "unknown parameter `x`", "accepted: none"),
    ],
)
def test_an_unknown_query_parameter_is_refused(http, path, names, accepted):
    detail = refused(http.get(path))["detail"]
    assert names in detail
    assert accepted in detail


def test_the_name_of_a_file_is_a_known_parameter(http):
    assert refused(http.post("/v1/models?filenam=x", content=b"x"))["detail"].endswith("accepted: filename")


@pytest.mark.parametrize("path", ["/?utm=1", "/livez?x=1", "/metrics?x=1"])
def test_pages_and_health_checks_ignore_others(http, path):
    assert http.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/v1/datasets"])
@pytest.mark.parametrize("cursor", ["x", "job_", "job_00", "", "../a", "job_" + "g" * 32])
def test_a_broken_cursor_is_refused(http, path, cursor):
    assert "cursor" in refused(http.get(path, params={"cursor": cursor}))["detail"]


@pytest.mark.parametrize("kind", ["job", "model", "dataset"])
@pytest.mark.parametrize("listed", ["job", "model", "dataset"])
def test_a_cursor_of_another_list_is_refused(http, kind, listed):
    response = http.get(f"/v1/{listed}s", params={"cursor": f"{kind}_{'0' * 32}"})
    assert response.status_code == (200 if kind == listed else 400)


@pytest.mark.parametrize("names", [[f"modle{n}" for n in range(500)]])
def test_of_many_faults_those_are_listed_that_fit(http, names):
    for response in (
        http.post("/v1/jobs", json={"model": "m", **dict.fromkeys(names)}),
        http.get("/v1/jobs", params=dict.fromkeys(names, "")),
    ):
        errors = refused(response)["errors"]
        assert (errors[0]["pointer"], len(errors)) == ("/modle0", 51)
        assert "did you mean `model`?" in errors[49]["detail"]
        assert errors[50]["detail"] == "450 more faults are left out"


def test_suggestions_are_sought_only_for_the_faults_that_are_listed(monkeypatch):
    sought = []
    monkeypatch.setattr(request_checks, "closest", lambda name, accepted: sought.append(name) or "")
    query = "&".join(f"modle{n}=" for n in range(500)).encode()
    request = Request({"type": "http", "query_string": query, "route": APIRoute("/x", lambda model: None)})
    with pytest.raises(BadRequest):
        asyncio.run(request_checks.check_query(request))
    assert sought == [f"modle{n}" for n in range(50)]


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/plans", "/v1/jobs/x/shares"])
def test_a_body_that_is_no_json_is_refused(http, path, sent):
    request = http.build_request(
        "POST", path, content=b'{"model": "m"}', headers={"Content-Type": sent} if sent else {}
    )
    document = refused(http.send(request), 415, "request.unsupported_media_type")
    assert "application/json" in document["detail"]


@pytest.mark.parametrize(
    "sent", ["application/json", "application/json; charset=utf-8", "application/merge-patch+json"]
)
def test_a_body_of_json_is_read(http, sent):
    response = http.post("/v1/jobs", content=b'{"model": "m", "spec": {}}', headers={"Content-Type": sent})
    assert refused(response, 404, "not_found")


def test_a_misspelled_key_of_a_job_is_named(http):
    document = refused(http.post("/v1/jobs", json={"modle": "m", "model": "m"}))
    assert document["errors"][0]["pointer"] == "/modle"
    assert "unknown key `modle`: did you mean `model`?" in document["detail"]


def test_a_request_that_names_no_source_is_told_where_and_what_is_accepted(http):
    document = refused(http.post("/v1/models", json={"source": "https://a.example.org/m.onnx", "sha265": "0" * 64}))
    assert document["errors"][0]["pointer"] == "/sha265"
    assert "unknown key `sha265`: did you mean `sha256`?; accepted: source, sha256, " in document["detail"]
    headers = {"Content-Type": "application/json"}
    document = refused(http.post("/v1/models", content=b'{"source":\n  x}', headers=headers))
    assert "not JSON at line 2, column 3" in document["detail"]


@pytest.mark.parametrize(
    ("spec", "pointer", "detail"),
    [
        ({"wieghts": {}}, "/wieghts", "unknown key `wieghts`: did you mean `weights`?"),
        ({"weights": {"grnularity": "tensor"}}, "/weights/grnularity", "did you mean `granularity`?"),
        ({"preset": "int8-weight"}, "/preset", "did you mean `int8-weights`?"),
        ({"weights": {"clipping": "percentil"}}, "/weights/clipping", "did you mean `percentile`?"),
        ({"activations": {"mode": "dynamik"}}, "/activations/mode", "did you mean `dynamic`?"),
    ],
)
def test_a_misspelled_key_or_value_of_a_spec_has_a_pointer_and_a_suggestion(http, uploaded, spec, pointer, detail):
    document = refused(http.post("/v1/jobs", json={"model": uploaded["model"], "spec": spec}), 422, "spec.invalid")
    assert document["errors"][0]["pointer"] == pointer
    assert detail in document["errors"][0]["detail"]
