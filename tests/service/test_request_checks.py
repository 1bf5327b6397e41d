"""Requests that a misspelling would change are refused: query parameters, content types, keys and values."""

import pytest


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
