"""Idempotency keys: a repeated POST has no further effect."""

import secrets

import pytest

from tests.specs import QUICK


@pytest.fixture
def key():
    return {"Idempotency-Key": secrets.token_hex(8)}


@pytest.fixture
def model_bytes(examples):
    """A model that is not uploaded yet: the example with another doc_string."""
    note = secrets.token_hex(8).encode()
    return (examples / "digits.onnx").read_bytes() + b"\x32" + bytes([len(note)]) + note


def test_a_repeated_upload_gets_the_first_answer(http, key, model_bytes):
    first, again = (http.post("/v1/models", content=model_bytes, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert http.post("/v1/models", content=model_bytes).status_code == 200


def test_other_bytes_with_the_same_key_are_refused_and_not_stored(http, key, model_bytes, examples, stack):
    assert http.post("/v1/models", content=model_bytes, headers=key).status_code == 201
    before = set(stack.folder.glob("store/default/models/*"))
    for path, data in (
        ("/v1/models", model_bytes + b"\x32\x00"),
        ("/v1/datasets", (examples / "digits_calibration.npz").read_bytes()),
    ):
        refused = http.post(path, content=data, headers=key)
        assert (refused.status_code, refused.json()["code"]) == (422, "request.idempotency_mismatch")
    assert set(stack.folder.glob("store/default/models/*")) == before


def test_uploads_and_jobs_share_their_keys(http, key, model_bytes):
    model = http.post("/v1/models", content=model_bytes, headers=key).json()["id"]
    refused = http.post("/v1/jobs", json={"model": model, "spec": QUICK}, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (422, "request.idempotency_mismatch")


def test_a_repeated_job_is_the_same_job(http, key, model_bytes):
    model = http.post("/v1/models", content=model_bytes).json()["id"]
    body = {"model": model, "spec": QUICK}
    first, again = (http.post("/v1/jobs", json=body, headers=key) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    http.post(first.json()["links"]["cancel"])
    other = http.post("/v1/jobs", json={**body, "tags": {"a": "b"}}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "request.idempotency_mismatch")


def test_a_key_can_be_used_again_after_its_upload_is_deleted(http, key, model_bytes):
    first = http.post("/v1/models", content=model_bytes, headers=key)
    assert http.delete(first.headers["location"]).status_code == 204
    again = http.post("/v1/models", content=model_bytes, headers=key)
    assert again.status_code == 201
    assert again.json()["id"] != first.json()["id"]
