"""Blobs are written completely or not at all, and hashed on the way."""

import hashlib
import os
import re
import threading
from datetime import UTC, datetime

import httpx
import pytest
from obstore.exceptions import BaseError as StoreError

from jobs.blobs import CHUNK, HEAD, Blobs
from jobs.errors import DigestMismatch, EmptyModel, NotFound, TooLarge

DATA = b"0123456789abcdef" * (CHUNK // 8)


async def chunks(data, breaks=False, size=100_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]
    if breaks:
        raise ConnectionError("hung up")


def refuses_nothing(head):
    pass


def refuses_empty(head):
    if not head:
        raise EmptyModel("no byte came")


@pytest.mark.anyio
async def test_a_stream_is_stored_and_hashed(blobs):
    stored = await blobs.write("t/a", chunks(DATA), refuses_nothing, len(DATA))
    assert (stored.sha256, stored.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert stored.head == DATA[:HEAD]
    assert blobs.read("t/a") == DATA


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"limit": len(DATA) - 1}, TooLarge),
        ({"limit": len(DATA), "sha256": "0" * 64}, DigestMismatch),
        ({"limit": len(DATA), "breaks": True}, ConnectionError),
        ({"limit": len(DATA), "data": b""}, EmptyModel),
    ],
)
async def test_a_broken_stream_leaves_nothing(blobs, tmp_path, options, error):
    source = chunks(options.get("data", DATA), options.get("breaks", False))
    with pytest.raises(error):
        await blobs.write("t/a", source, refuses_empty, options["limit"], options.get("sha256"))
    assert blobs.keys("") == [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.anyio
@pytest.mark.parametrize(("start", "stop"), [(0, 10), (5, CHUNK + 7), (len(DATA) - 3, len(DATA))])
async def test_a_range_is_read(blobs, start, stop):
    await blobs.write("t/a", chunks(DATA), refuses_nothing, len(DATA))
    assert b"".join([chunk async for chunk in blobs.stream("t/a", start, stop)]) == DATA[start:stop]


@pytest.mark.anyio
async def test_a_blob_opens_as_a_seekable_file(blobs):
    await blobs.write("t/a", chunks(DATA), refuses_nothing, len(DATA))
    with blobs.open("t/a") as file:
        file.seek(-4, 2)
        assert file.read() == DATA[-4:]
        file.seek(3)
        assert file.read(5) == DATA[3:8]


@pytest.mark.anyio
async def test_keys_are_listed_until_their_blob_is_deleted(blobs, tmp_path):
    for key in ("t/jobs/1/a", "t/jobs/1/b", "t/jobs/2/a"):
        await blobs.write(key, chunks(DATA), refuses_nothing, len(DATA))
    assert sorted(blobs.keys("t/jobs/1")) == ["t/jobs/1/a", "t/jobs/1/b"]
    for _ in range(2):
        blobs.delete("t/jobs/1/a")
    assert blobs.keys("t/jobs/1") == ["t/jobs/1/b"]


def test_a_missing_blob_is_not_found(blobs, tmp_path):
    with pytest.raises(NotFound):
        blobs.read("t/none")
    with pytest.raises(NotFound):
        blobs.fetch("t/none", tmp_path / "copy", lambda: None)


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, HEAD - 1, HEAD, HEAD + 1, 3 * HEAD])
async def test_the_first_bytes_are_checked_before_the_rest_is_read(blobs, tmp_path, size):
    asked = 0

    async def counted():
        nonlocal asked
        async for chunk in chunks(DATA[: 10 * HEAD], size=size):
            asked += len(chunk)
            yield chunk

    def refuse(head):
        assert head == DATA[:HEAD]
        raise EmptyModel("not these")

    with pytest.raises(EmptyModel):
        await blobs.write("t/a", counted(), refuse, len(DATA))
    assert asked < HEAD + size
    assert blobs.keys("") == [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_copy_survives_the_deletion_of_its_source(blobs):
    blobs.put("t/a", b"bytes")
    blobs.copy("t/a", "t/b")
    blobs.delete("t/a")
    assert blobs.read("t/b") == b"bytes"
    with pytest.raises(NotFound):
        blobs.copy("t/a", "t/c")


def test_a_document_is_overwritten(blobs):
    for data in (b"one", b"two"):
        blobs.put("t/a.json", data)
    assert blobs.read("t/a.json") == b"two"
    (entry,) = blobs.entries("t")
    assert entry.key == "t/a.json"
    assert abs((datetime.now(UTC) - entry.modified).total_seconds()) < 60


def test_a_file_is_stored_and_fetched(blobs, tmp_path):
    (tmp_path / "a").write_bytes(DATA)
    blobs.write_file("t/a", tmp_path / "a")
    assert blobs.fetch("t/a", tmp_path / "b", lambda: None) == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / "b").read_bytes() == DATA


def test_a_local_store_has_no_signed_urls(tmp_path):
    assert Blobs(tmp_path.as_uri(), "http://127.0.0.1").signed_url("t/a") is None


def test_a_signed_url_permits_one_method_on_one_blob(swift, blobs_of):
    blobs = blobs_of(swift)
    for key in ("t/a", "t/b"):
        blobs.put(key, key.encode())
    assert blobs.signed_url("t/a") is None  # callers do not reach the store
    url = Blobs(swift.url, swift.endpoint).signed_url("t/a")
    assert httpx.get(url).content == b"t/a"
    assert httpx.get(url, headers={"Range": "bytes=2-"}).content == b"a"
    assert httpx.get(url.replace("t/a", "t/b")).status_code == 403
    assert httpx.get(re.sub("X-Amz-Expires=\\d+", "X-Amz-Expires=90000", url)).status_code == 403
    assert httpx.put(url, content=b"other").status_code == 403
    assert httpx.get(url.split("?")[0]).status_code in (400, 403)


def folders(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir() and not path.is_symlink())


def test_old_empty_folders_of_a_local_store_are_removed_level_by_level(tmp_path):
    blobs = Blobs(tmp_path.as_uri())
    blobs.put("t/jobs/j/aa/model", DATA[:10])
    blobs.put("t/models/m", DATA[:10])
    (tmp_path / "link").symlink_to(tmp_path / "t" / "jobs")
    blobs.delete("t/jobs/j/aa/model")
    assert blobs.sweep_folders() == 0  # they are not old
    for left in (["t", "t/jobs", "t/jobs/j", "t/models"], ["t", "t/jobs", "t/models"], ["t", "t/models"]):
        for folder in folders(tmp_path):
            os.utime(tmp_path / folder, (0, 0))
        assert blobs.sweep_folders() == 1
        assert folders(tmp_path) == left
    assert blobs.sweep_folders(empty_s=0) == 0
    assert blobs.read("t/models/m") == DATA[:10]


def test_no_write_is_lost_while_empty_folders_are_removed(tmp_path):
    blobs, stopped = Blobs(tmp_path.as_uri()), threading.Event()
    names = [f"{number:03d}" for number in range(300)]
    for name in names:
        (tmp_path / "t" / name).mkdir(parents=True)
        os.utime(tmp_path / "t" / name, (0, 0))

    def sweep():
        while not stopped.is_set():
            blobs.sweep_folders()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for name in names:
            blobs.put(f"t/{name}/blob", DATA[:10])
            blobs.copy(f"t/{name}/blob", f"t/{names[-1]}/{name}")
    finally:
        stopped.set()
        sweeper.join()
    assert len(blobs.keys("t")) == 2 * len(names)


@pytest.mark.anyio
async def test_a_write_that_the_store_answers_by_404_is_a_failure_of_the_store(swift, blobs_of, tmp_path):
    blobs_of(swift)  # sets the credentials
    missing = Blobs("s3://missing/prefix")
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(StoreError):
        missing.ping()
    with pytest.raises(StoreError):
        missing.put("t/a", b"a")
    with pytest.raises(StoreError):
        missing.write_file("t/a", tmp_path / "a", lambda: None)
    with pytest.raises(StoreError):
        await missing.write("t/a", chunks(b"a"), refuses_nothing, 1)
