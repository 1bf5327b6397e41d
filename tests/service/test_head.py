"""HEAD answers what GET answers, without the body."""

import time

import pytest

PATHS = (
    "/v1/jobs", "/v1/models", "/v1/datasets", "/v1/capabilities", "/v1/version", "/livez", "/readyz", "/metrics",
    "/openapi.json", "/docs", "/", "/static/app.css", "/v1/jobs/job_none", "/nothing",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_status_and_headers_of_get(http, path):
    got, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert set(head.headers) == set(got.headers) - {"transfer-encoding", "content-encoding"} | {"content-length"} & set(
        head.headers
    )
    assert head.headers["content-type"] == got.headers["content-type"]


def test_head_of_a_file_and_of_a_stream_ends_at_once(http, run_job, uploaded):
    links = run_job(model=uploaded["model"], spec={"preset": "int8-weights"})["links"]
    file = http.head(f"{links['artifacts']}/model.onnx")
    assert int(file.headers["content-length"]) == len(http.get(f"{links['artifacts']}/model.onnx").content)
    assert file.headers["etag"]
    waiting = http.post(
        "/v1/jobs", json={"model": uploaded["model"], "spec": {"preset": "int4-weights", "seed": 77}}
    ).json()
    begun = time.monotonic()
    assert http.head(waiting["links"]["events"]).headers["content-type"].startswith("text/event-stream")
    assert time.monotonic() - begun < 10
    http.post(waiting["links"]["cancel"])


def test_a_path_names_head_among_its_methods(http):
    refused = http.put("/v1/models")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, POST"
