"""Resumable uploads by tus 1.0 over HTTP."""

import contextlib
import hashlib
import io
import secrets
import socket
import time

import httpx
import pytest
from tusclient.client import TusClient

from tests.service.tus import PATCH, TUS, append, begin, metadata, offset


@pytest.fixture
def data(examples):
    """A model that is not uploaded yet."""
    note = secrets.token_hex(8).encode()
    return (examples / "digits.onnx").read_bytes() + b"\x32" + bytes([len(note)]) + note


def parts(stack, url):
    """Return the files that the store holds for an upload in progress."""
    return [path for path in stack.folder.glob(f"store/*/uploads/{url.split('/')[-1]}/*") if path.is_file()]


def test_another_client_of_the_protocol_uploads_a_model(stack, http, data):
    uploader = TusClient(f"{stack.url}/v1/uploads").uploader(
        file_stream=io.BytesIO(data), chunk_size=100_000, metadata={"kind": "model", "filename": "m.onnx"}
    )
    uploader.upload()
    model = http.get(http.head(uploader.url, headers=TUS).headers["content-location"]).json()
    assert (model["sha256"], model["filename"]) == (hashlib.sha256(data).hexdigest(), "m.onnx")
    assert parts(stack, uploader.url) == []


def test_a_dataset_in_parts_is_described(http, examples):
    data = (examples / "digits_calibration.npz").read_bytes()
    url = begin(http, len(data), kind="dataset").headers["location"]
    assert append(http, url, 0, data[:5000]).headers["upload-offset"] == "5000"
    response = append(http, url, 5000, data[5000:])
    assert response.status_code == 204
    assert http.get(response.headers["content-location"]).json()["arrays"]


def test_bytes_before_a_disconnect_are_stored(stack, http, data):
    url = begin(http, len(data)).headers["location"]
    address = httpx.URL(stack.url)
    with socket.create_connection((address.host, address.port)) as connection:
        headers = {"Host": "localhost", **PATCH, "Upload-Offset": "0", "Content-Length": str(len(data))}
        lines = [f"PATCH {url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        connection.sendall(data[:70_000])
        time.sleep(0.5)
    deadline = time.monotonic() + 10
    while offset(http, url) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    stored = offset(http, url)
    assert 0 < stored <= 70_000
    response = append(http, url, stored, data[stored:])
    assert http.get(response.headers["content-location"]).json()["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_part_at_another_offset_is_refused(http, data):
    url = begin(http, len(data)).headers["location"]
    append(http, url, 0, data[:1000])
    for wrong in (0, 999, 1001, len(data)):
        refused = append(http, url, wrong, b"x")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert offset(http, url) == 1000


def test_more_bytes_than_announced_are_refused_and_change_nothing(stack, http, data):
    url = begin(http, 1000).headers["location"]
    assert append(http, url, 0, data[:1001]).status_code == 413
    assert offset(http, url) == 0
    assert append(http, url, 0, data[:1000]).status_code in (204, 422)


@pytest.mark.parametrize(
    ("kind", "content", "options", "code"),
    [
        ("model", b"no model at all", {}, "model.unsupported_format"),
        ("model", b"", {}, "model.empty"),
        ("dataset", b"PK\x03\x04 cut", {}, "dataset.unreadable"),
        ("model", None, {"sha256": "0" * 64}, "request.digest_mismatch"),
    ],
)
def test_an_invalid_file_is_refused_at_the_end_and_discarded(stack, http, data, kind, content, options, code):
    content = data if content is None else content
    url = begin(http, len(content), kind=kind, **options).headers["location"]
    assert append(http, url, 0, content).json()["code"] == code
    assert http.head(url, headers=TUS).status_code == 404
    assert parts(stack, url) == []


def test_the_last_response_can_be_requested_again(http, data):
    url = begin(http, len(data)).headers["location"]
    response = append(http, url, 0, data)
    again = append(http, url, len(data), b"")
    assert response.headers["content-location"] == again.headers["content-location"]
    assert http.head(url, headers=TUS).headers["content-location"] == response.headers["content-location"]


def test_a_discarded_upload_leaves_nothing(stack, http, data):
    url = begin(http, len(data)).headers["location"]
    append(http, url, 0, data[:1000])
    assert len(parts(stack, url)) == 1
    ended = http.delete(url, headers=TUS)
    assert (ended.status_code, ended.headers["tus-resumable"]) == (204, "1.0.0")
    assert http.head(url, headers=TUS).status_code == 404
    assert parts(stack, url) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Tus-Resumable": ""}, 412),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "x"}, 400),
        ({"Upload-Length": str(2**50)}, 413),
        ({"Upload-Metadata": "kind %%%"}, 400),
        ({"Upload-Metadata": metadata(kind="secret")}, 400),
        ({"Upload-Metadata": metadata(kind="model", other="x")}, 400),
        ({"Upload-Metadata": metadata(kind="model", sha256="x")}, 400),
        ({"Upload-Metadata": metadata(filename="x")}, 400),
    ],
    ids=str,
)
def test_an_invalid_request_to_begin_is_refused(http, headers, status):
    good = {**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(kind="model")}
    refused = http.post("/v1/uploads", headers=good | headers)
    assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
    if status == 412:
        assert refused.headers["tus-version"] == "1.0.0"


def test_the_protocol_is_announced(http):
    announced = http.options("/v1/uploads").headers
    assert announced["tus-version"] == "1.0.0"
    assert set(announced["tus-extension"].split(",")) == {"creation", "expiration", "termination"}
    assert int(announced["tus-max-size"]) > 2**30


def test_the_same_idempotency_key_returns_the_same_upload(http):
    key = {"Idempotency-Key": secrets.token_hex(8)}
    headers = {**TUS, **key, "Upload-Metadata": metadata(kind="model")}
    first, again = (http.post("/v1/uploads", headers={**headers, "Upload-Length": "9"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.headers["location"] == again.headers["location"]
    other = http.post("/v1/uploads", headers={**headers, "Upload-Length": "8"})
    assert (other.status_code, other.json()["code"]) == (422, "request.idempotency_mismatch")
    http.delete(first.headers["location"], headers=TUS)
    fresh = http.post("/v1/uploads", headers={**headers, "Upload-Length": "8"})
    assert fresh.headers["location"] != first.headers["location"]
    http.delete(fresh.headers["location"], headers=TUS)


def test_the_number_of_unfinished_uploads_is_limited(http):
    begun = []
    with contextlib.ExitStack() as undo:
        while len(begun) < 40:
            response = begin(http, 100)
            if response.status_code != 201:
                break
            begun.append(response.headers["location"])
            undo.callback(http.delete, begun[-1], headers=TUS)
        assert (response.status_code, response.json()["code"]) == (429, "quota.open_uploads")
    response = begin(http, 100)
    assert response.status_code == 201
    http.delete(response.headers["location"], headers=TUS)
