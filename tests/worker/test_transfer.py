"""Inputs reach the job's folder unchanged, and artifacts are stored under their digests."""

import hashlib

import pytest

from jobs.blobs import Blobs
from jobs.errors import DigestMismatch, NotFound, RemoteFailed
from jobs.http_status import problem_of
from jobs.job import Job, Status, Upload, now
from worker.artifacts import ArtifactFile
from worker.transfer import Transfer

JOB = Job(id="job_1", tenant="t", status=Status.RUNNING, model="model_1", calibration="dataset_1", spec={},
          created_at=now())  # fmt: skip


class Lease:
    """A lease that holds."""

    def check(self):
        pass


class Uploads:
    """The records of two uploads, and of fetches that failed."""

    def __init__(self, **contents):
        self.problems = {}
        self.uploads = {
            upload_id: Upload(id=upload_id, tenant="t", key=f"t/{upload_id}", sha256=hashlib.sha256(data).hexdigest(),
                              size=len(data), filename=None, created_at=now(), format="onnx")
            for upload_id, data in contents.items()
        }  # fmt: skip

    def upload(self, kind, upload_id):
        if upload_id not in self.uploads:
            raise NotFound(f"there is no {kind} {upload_id!r}")
        return self.uploads[upload_id]

    def fetch_problem(self, upload_id):
        return self.problems.get(upload_id)


@pytest.fixture
def blobs(tmp_path):
    store = Blobs((tmp_path / "store").as_uri())
    store.put("t/model_1", b"model")
    store.put("t/dataset_1", b"data")
    return store


def test_each_input_is_a_file_named_after_its_role(blobs, folder):
    transfer = Transfer(Uploads(model_1=b"model", dataset_1=b"data"), blobs)
    assert set(transfer.fetch(JOB, folder, Lease())) == {"model", "calibration"}
    assert (folder / "model").read_bytes() == b"model"
    assert (folder / "calibration").read_bytes() == b"data"


def test_changed_bytes_are_refused(blobs, folder):
    blobs.put("t/dataset_1", b"other")
    with pytest.raises(DigestMismatch, match="dataset_1"):
        Transfer(Uploads(model_1=b"model", dataset_1=b"data"), blobs).fetch(JOB, folder, Lease())


def test_a_missing_input_is_not_found(blobs, folder):
    with pytest.raises(NotFound):
        Transfer(Uploads(model_1=b"model"), blobs).fetch(JOB, folder, Lease())


def test_an_input_that_was_not_fetched_fails_with_the_reason(blobs, folder):
    uploads = Uploads(model_1=b"model")
    uploads.problems["dataset_1"] = problem_of(RemoteFailed("the host does not answer"))
    with pytest.raises(RemoteFailed, match=r"dataset_1.*the host does not answer"):
        Transfer(uploads, blobs).fetch(JOB, folder, Lease())


def test_an_artifact_is_stored_under_its_digest(blobs, folder):
    path = folder / "out" / "model.onnx"
    path.write_bytes(b"quantized")
    (artifact,) = Transfer(Uploads(), blobs).store(JOB, [ArtifactFile("model.onnx", "x/y", path, 9, "ab")], Lease())
    assert artifact.key == "t/jobs/job_1/ab/model.onnx"
    assert blobs.read(artifact.key) == b"quantized"
