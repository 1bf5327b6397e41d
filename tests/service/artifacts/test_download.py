"""Downloads: digests, ranges and conditional requests."""

import base64
import hashlib
import re

import pytest

from service.artifacts.download import parse_range
from service.digests import digest_header


def test_a_download_carries_its_digest(artifact):
    _, whole = artifact
    assert whole.headers["repr-digest"] == digest_header(hashlib.sha256(whole.content).hexdigest())
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'


@pytest.mark.parametrize(
    ("header", "part"), [("bytes=0-9", slice(0, 10)), ("bytes=100-", slice(100, None)), ("bytes=-7", slice(-7, None))]
)
def test_a_range_returns_its_bytes(http, artifact, header, part):
    url, whole = artifact
    response = http.get(url, headers={"Range": header})
    assert response.status_code == 206
    assert response.content == whole.content[part]
    assert response.headers["content-range"].endswith(f"/{len(whole.content)}")


@pytest.mark.parametrize("header", ["lines=1-2", "bytes=-", "bytes=0-1,4-5", f"bytes={'9' * 5000}-", "bytes=x-y"])
def test_an_unsupported_range_returns_the_whole_file(http, artifact, header):
    url, whole = artifact
    response = http.get(url, headers={"Range": header})
    assert (response.status_code, response.content) == (200, whole.content)


def test_if_range_with_another_etag_returns_the_whole_file(http, artifact):
    url, whole = artifact
    for etag, status in ((whole.headers["etag"], 206), ('"other"', 200)):
        assert http.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == status


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=5-2", "bytes=-0"])
def test_a_range_outside_of_the_file_is_416(http, artifact, header):
    response = http.get(artifact[0], headers={"Range": header})
    assert (response.status_code, response.json()["code"]) == (416, "request.range_not_satisfiable")


@pytest.mark.parametrize("name", ["artifacts/model.onnx", "artifacts/report.html", "report.html"])
def test_a_known_etag_is_304(http, artifact, name):
    url = artifact[0].replace("artifacts/model.onnx", name)
    whole = http.get(url)
    for known in (whole.headers["etag"], f'"x", {whole.headers["etag"]}', "*"):
        response = http.get(url, headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
    assert http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def policy_of(response):
    """Return the directives of a Content-Security-Policy with their sources."""
    directives = (directive.split() for directive in response.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in directives}


@pytest.mark.parametrize("name", ["artifacts/report.html", "report.html"])
def test_only_the_packaged_script_runs_in_a_report_at_either_url_and_without_an_origin(http, artifact, name):
    response = http.get(artifact[0].replace("artifacts/model.onnx", name))
    (script,) = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy_of(response) == {
        "default-src": ["'none'"],
        "script-src": [f"'sha256-{digest}'"],
        "style-src": ["'unsafe-inline'"],
        "img-src": ["data:"],
        "form-action": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'self'"],
        "sandbox": ["allow-scripts", "allow-downloads"],
    }
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["report.json", "gates.junit.xml", "model.onnx"])
def test_nothing_runs_in_another_artifact(http, artifact, name):
    response = http.get(artifact[0].replace("model.onnx", name))
    none = {name: ["'none'"] for name in ("default-src", "form-action", "base-uri", "frame-ancestors")}
    assert policy_of(response) == {**none, "sandbox": []}
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, None), ("bytes=0-9", (0, 10)), ("bytes=90-200", (90, 100)), ("bytes=-7", (93, 100)), ("bytes=-", None)],
)
def test_a_range_header_is_parsed(header, expected):
    assert parse_range(header, 100) == expected
