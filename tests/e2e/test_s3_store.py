"""A service on a real S3 server: presigned downloads, pages, logs."""

import hashlib
import json
import os
import subprocess
import sys

import httpx
import pytest


@pytest.fixture(scope="module")
def http(s3_stack):
    with httpx.Client(base_url=s3_stack.url, timeout=90) as client:
        yield client


@pytest.fixture(scope="module")
def job(http, examples):
    with (examples / "digits.onnx").open("rb") as model, (examples / "digits_calibration.npz").open("rb") as data:
        files = {"model": ("digits.onnx", model), "calibration": data}
        result = http.post("/v1/quantize", files=files, data={"preset": "int8"}, headers={"Prefer": "wait=60"}).json()
    assert result["status"] == "succeeded", result
    return result


def test_a_model_is_downloaded_from_the_store_itself(http, job, swift):
    (listed,) = [item for item in http.get(job["links"]["artifacts"]).json()["items"] if item["name"] == "model.onnx"]
    sent = http.get(listed["url"])
    assert sent.status_code == 307
    assert sent.headers["location"].startswith(swift.endpoint)
    assert sent.headers["cache-control"] == "no-store"
    assert sent.headers["etag"] == f'"{listed["sha256"]}"'
    data = httpx.get(sent.headers["location"]).content
    assert hashlib.sha256(data).hexdigest() == listed["sha256"]
    assert http.get(listed["url"], headers={"If-None-Match": sent.headers["etag"]}).status_code == 304


def test_a_page_is_never_served_from_the_store(http, job):
    page = http.get(job["links"]["report_html"])
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_command_downloads_from_the_store_and_checks_the_bytes(s3_stack, job, examples, tmp_path):
    command = [sys.executable, "-m", "quantd", "quantize", examples / "digits.onnx", "--preset", "int8",
               "--calibration", examples / "digits_calibration.npz", "-o", tmp_path / "o.onnx", "--json"]  # fmt: skip
    result = subprocess.run(command, env={**os.environ, "QUANTD_URL": s3_stack.url}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["cached"]
    assert (tmp_path / "o.onnx").stat().st_size > 10_000


def test_presigned_urls_are_not_logged(s3_stack, http, job):
    location = http.get(f"{job['links']['artifacts']}/model.onnx").headers["location"]
    signature = httpx.URL(location).params["X-Amz-Signature"]
    assert len(signature) == 64
    for path in s3_stack.folder.glob("*.log"):
        assert signature not in path.read_text()
