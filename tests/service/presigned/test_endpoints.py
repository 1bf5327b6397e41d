"""Uploads whose parts go straight to the object store by presigned URLs."""

import hashlib
import os
import secrets

import httpx
import pytest

from jobs.blobs import Blobs
from service.presigned.parts import PART_BYTES
from tests.service.tus import TUS, append, begin, offset


@pytest.fixture(scope="module")
def client(s3_stack):
    with httpx.Client(base_url=s3_stack.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def store():
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def stored(swift):
    """Return the keys that the store holds for an upload in progress."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in swift.environment.items():
            environment.setenv(name, value)
        blobs = Blobs(f"s3://bucket/{os.getpid()}")
    return lambda url: blobs.keys(f"default/uploads/{url.split('/')[-1]}")


@pytest.fixture
def data():
    """A model of two parts that is not uploaded yet."""
    return b"\x08\x08" + secrets.token_bytes(PART_BYTES + 1000)


def parts(client, url):
    return client.get(f"{url}/parts").json()["items"]


def put(store, part, data):
    return store.put(part["url"], content=data[part["offset"] : part["offset"] + part["size"]])


def test_parts_in_any_order_become_a_model(client, store, stored, data):
    url = begin(client, len(data), sha256=hashlib.sha256(data).hexdigest()).headers["location"]
    listed = parts(client, url)
    assert [(part["offset"], part["size"]) for part in listed] == [(0, PART_BYTES), (PART_BYTES, 1002)]
    for part in reversed(listed):
        assert put(store, part, data).status_code in (200, 201)
    assert [part["url"] for part in parts(client, url)] == [None, None]
    response = client.post(f"{url}/complete")
    assert (response.status_code, response.headers["upload-offset"]) == (204, str(len(data)))
    model = client.get(response.headers["content-location"]).json()
    assert (model["size"], model["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert client.post(f"{url}/complete").headers["content-location"] == response.headers["content-location"]
    assert stored(url) == []


def test_a_missing_part_is_listed_and_can_be_sent_again(client, store, data):
    url = begin(client, len(data)).headers["location"]
    first, last = parts(client, url)
    put(store, first, data)
    assert store.put(last["url"], content=b"another size").status_code in (200, 201)
    refused = client.post(f"{url}/complete")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert f"12 of the 1002 bytes at {PART_BYTES}" in refused.json()["detail"]
    (left,) = [part for part in parts(client, url) if part["url"]]
    assert left["offset"] == PART_BYTES
    put(store, left, data)
    assert client.post(f"{url}/complete").status_code == 204


@pytest.mark.parametrize(
    ("kind", "content", "digest", "code"),
    [
        ("model", b"no model at all", None, "model.unsupported_format"),
        ("dataset", b"PK\x03\x04 cut", None, "dataset.unreadable"),
        ("model", b"\x08\x08 other bytes", "0" * 64, "request.digest_mismatch"),
    ],
)
def test_an_invalid_file_is_refused_and_discarded(client, store, stored, kind, content, digest, code):
    url = begin(client, len(content), kind=kind, **({"sha256": digest} if digest else {})).headers["location"]
    (part,) = parts(client, url)
    put(store, part, content)
    assert client.post(f"{url}/complete").json()["code"] == code
    assert client.head(url, headers=TUS).status_code == 404
    assert stored(url) == []


def test_a_url_takes_one_part_and_nothing_else(client, store, data):
    url = begin(client, len(data)).headers["location"]
    first, last = parts(client, url)
    assert store.put(first["url"].replace("/000000000000000?", "/000000000000001?"), content=b"x").status_code == 403
    assert store.get(first["url"]).status_code == 403
    assert store.delete(last["url"]).status_code == 403


def test_a_discarded_upload_leaves_nothing(client, store, stored, data):
    url = begin(client, len(data)).headers["location"]
    for part in parts(client, url):
        put(store, part, data)
    assert len(stored(url)) == 2
    assert client.delete(url, headers=TUS).status_code == 204
    assert stored(url) == []


def test_patch_and_presigned_parts_cannot_be_mixed(client, data):
    url = begin(client, len(data)).headers["location"]
    append(client, url, 0, data[:1000])
    assert client.get(f"{url}/parts").status_code == client.post(f"{url}/complete").status_code == 409
    assert offset(client, url) == 1000


def test_the_number_of_parts_is_limited(client):
    url = begin(client, 4 << 30).headers["location"]
    listed = parts(client, url)
    assert len(listed) == 256
    assert sum(part["size"] for part in listed) == 4 << 30


def test_without_a_reachable_store_patch_is_suggested(http):
    url = begin(http, 1000).headers["location"]
    refused = http.get(f"{url}/parts")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "PATCH" in refused.json()["detail"]
    http.delete(url, headers=TUS)
