"""A full disk: uploads are refused, jobs fail, and no partial files remain."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.faults.cluster import Cluster, assert_sound, until
from tests.e2e.faults.conftest import SPEC

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small tmpfs")
SIZE = 2 << 20


@pytest.fixture(scope="module")
def small():
    """Return a function that mounts a tmpfs of two megabytes."""
    mounted = []

    def mount(folder: Path) -> Path:
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def full_store(tmp_path_factory, small):
    """A service whose object store has two megabytes, and the folder of this store."""
    folder = tmp_path_factory.mktemp("full")
    store = small(folder / "store")
    with Cluster(folder) as cluster:
        yield cluster, store


def test_a_worker_with_a_full_disk_gives_its_job_to_another(patient, small, tmp_path, examples, monkeypatch):
    full, log = small(tmp_path / "tmp"), patient.folder / "worker1.log"
    patient.kill("worker1")
    with monkeypatch.context() as patch:
        patch.setattr(patient, "environment", {**patient.environment, "TMPDIR": str(full)})
        patient.start("worker1")
    try:
        model = patient.upload("model", examples / "digits.onnx")
        until(lambda: any(full.iterdir()), "worker1 to be ready")
        (full / "filler").write_bytes(b"x" * (SIZE - (200 << 10)))
        job = patient.submit(model=model, spec=SPEC)
        until(lambda: "disk is full" in log.read_text(), "worker1 to give the job back")
    finally:
        patient.kill("worker1")
    patient.start("worker1")
    assert_sound(patient, patient.ended(job), attempts=2)
    assert [path.name for path in full.rglob("*") if path.name == "model"] == []


def test_a_service_with_a_full_store_is_not_ready_until_it_has_space(full_store):
    cluster, store = full_store
    filler = store / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * SIZE)
    answer = until(lambda: (answer := cluster.http.get("/readyz")).status_code == 503 and answer, "a 503", 5)
    assert (answer.json()["code"], int(answer.headers["retry-after"]) > 0) == ("service.unavailable", True)
    assert "the object store takes no writes" in answer.json()["detail"]
    assert cluster.http.get("/livez").status_code == 200
    filler.unlink()
    cluster.wait_ready()


def test_a_full_store_refuses_uploads_until_it_has_space(full_store, examples):
    cluster, store = full_store
    model = (examples / "digits.onnx").read_bytes()
    response = cluster.http.post("/v1/models", content=model + b"\0" * SIZE)
    assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert [path for path in store.rglob("*") if path.is_file() and path.stat().st_size > 4096] == []
    uploaded = cluster.upload("model", examples / "digits.onnx")
    assert_sound(cluster, cluster.ended(cluster.submit(model=uploaded, spec=SPEC)))
