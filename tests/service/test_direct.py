"""Parts of an upload go straight to the object store, by signed URLs, and become what one request would have made."""

import hashlib
import os
import secrets

import httpx
import pytest

from jobs.blobs import Blobs
from service.direct import PART
from tests.service.test_resumable import TUS, append, begin, offset


@pytest.fixture(scope="module")
def there(s3_stack):
    with httpx.Client(base_url=s3_stack.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def store():
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def kept(swift):
    """What the store holds of an upload in progress."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in swift.environment.items():
            environment.setenv(name, value)
        blobs = Blobs(f"s3://bucket/{os.getpid()}")
    return lambda url: blobs.keys(f"default/uploads/{url.split('/')[-1]}")


@pytest.fixture
def data():
    """A model of two parts that nobody has uploaded."""
    return b"\x08\x08" + secrets.token_bytes(PART + 1000)


def parts(client, url):
    return client.get(f"{url}/parts").json()["items"]


def put(store, part, data):
    return store.put(part["url"], content=data[part["offset"] : part["offset"] + part["size"]])


def test_the_parts_become_a_model_in_whatever_order_they_come(there, store, kept, data):
    url = begin(there, len(data), sha256=hashlib.sha256(data).hexdigest()).headers["location"]
    told = parts(there, url)
    assert [(part["offset"], part["size"]) for part in told] == [(0, PART), (PART, 1002)]
    for part in reversed(told):
        assert put(store, part, data).status_code in (200, 201)
    assert [part["url"] for part in parts(there, url)] == [None, None]
    done = there.post(f"{url}/complete")
    assert (done.status_code, done.headers["upload-offset"]) == (204, str(len(data)))
    model = there.get(done.headers["content-location"]).json()
    assert (model["size"], model["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert there.post(f"{url}/complete").headers["content-location"] == done.headers["content-location"]
    assert kept(url) == []


def test_what_is_not_there_is_told_and_can_be_sent_again(there, store, data):
    url = begin(there, len(data)).headers["location"]
    first, last = parts(there, url)
    put(store, first, data)
    assert store.put(last["url"], content=b"another size").status_code in (200, 201)
    refused = there.post(f"{url}/complete")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert f"12 of the 1002 bytes at {PART}" in refused.json()["detail"]
    (left,) = [part for part in parts(there, url) if part["url"]]
    assert left["offset"] == PART
    put(store, left, data)
    assert there.post(f"{url}/complete").status_code == 204


@pytest.mark.parametrize(
    ("kind", "content", "digest", "code"),
    [
        ("model", b"no model at all", None, "model.unsupported_format"),
        ("dataset", b"PK\x03\x04 cut", None, "dataset.unreadable"),
        ("model", b"\x08\x08 other bytes", "0" * 64, "request.digest_mismatch"),
    ],
)
def test_what_one_request_would_refuse_is_refused_and_not_kept(there, store, kept, kind, content, digest, code):
    url = begin(there, len(content), kind=kind, **({"sha256": digest} if digest else {})).headers["location"]
    (part,) = parts(there, url)
    put(store, part, content)
    assert there.post(f"{url}/complete").json()["code"] == code
    assert there.head(url, headers=TUS).status_code == 404
    assert kept(url) == []


def test_a_url_takes_one_part_and_nothing_else(there, store, data):
    url = begin(there, len(data)).headers["location"]
    first, last = parts(there, url)
    assert store.put(first["url"].replace("/000000000000000?", "/000000000000001?"), content=b"x").status_code == 403
    assert store.get(first["url"]).status_code == 403
    assert store.delete(last["url"]).status_code == 403


def test_an_upload_that_is_given_up_leaves_nothing(there, store, kept, data):
    url = begin(there, len(data)).headers["location"]
    for part in parts(there, url):
        put(store, part, data)
    assert len(kept(url)) == 2
    assert there.delete(url, headers=TUS).status_code == 204
    assert kept(url) == []


def test_bytes_by_patch_and_straight_to_the_store_do_not_mix(there, data):
    url = begin(there, len(data)).headers["location"]
    append(there, url, 0, data[:1000])
    assert there.get(f"{url}/parts").status_code == there.post(f"{url}/complete").status_code == 409
    assert offset(there, url) == 1000


def test_many_bytes_come_in_few_parts(there):
    url = begin(there, 4 << 30).headers["location"]
    told = parts(there, url)
    assert len(told) == 256
    assert sum(part["size"] for part in told) == 4 << 30


def test_where_callers_do_not_reach_the_store_there_is_patch(http):
    url = begin(http, 1000).headers["location"]
    refused = http.get(f"{url}/parts")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "PATCH" in refused.json()["detail"]
    http.delete(url, headers=TUS)
