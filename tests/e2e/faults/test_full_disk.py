"""A full disk: uploads are refused, jobs fail, and no partial files remain."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.faults.cluster import Cluster, assert_sound, until
from tests.e2e.faults.conftest import SPEC

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small tmpfs")
SIZE = 2 << 20


@pytest.fixture
def small(tmp_path):
    """Mount a tmpfs of two megabytes."""
    mounted = []

    def mount(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_worker_with_a_full_disk_gives_its_job_to_another(tmp_path, small, examples):
    full = small("tmp")
    with Cluster(tmp_path, workers=2) as cluster:
        cluster.kill("worker1", "worker2")
        with_room = cluster.environment
        cluster.environment = {**with_room, "TMPDIR": str(full)}
        cluster.start("worker1")
        model = cluster.upload("model", examples / "digits.onnx")
        until(lambda: any(full.iterdir()), "worker1 to be ready")
        (full / "filler").write_bytes(b"x" * (SIZE - (200 << 10)))
        job = cluster.submit(model=model, spec=SPEC)
        log = tmp_path / "worker1.log"
        until(lambda: "disk is full" in log.read_text(), "worker1 to give the job back")
        cluster.kill("worker1")
        cluster.environment = with_room
        cluster.start("worker2")
        assert_sound(cluster, cluster.ended(job), attempts=2)
        assert [path.name for path in full.rglob("*") if path.name == "model"] == []


def test_a_service_with_a_full_store_is_not_ready_until_it_has_space(tmp_path, small):
    full = small("store")
    with Cluster(tmp_path) as cluster:
        filler = full / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * SIZE)
        answer = until(lambda: (answer := cluster.http.get("/readyz")).status_code == 503 and answer, "a 503", 5)
        assert (answer.json()["code"], int(answer.headers["retry-after"]) > 0) == ("service.unavailable", True)
        assert "the object store takes no writes" in answer.json()["detail"]
        assert cluster.http.get("/livez").status_code == 200
        filler.unlink()
        cluster.wait_ready()


def test_a_full_store_refuses_uploads_until_it_has_space(tmp_path, small, examples):
    full = small("store")
    with Cluster(tmp_path) as cluster:
        model = (examples / "digits.onnx").read_bytes()
        response = cluster.http.post("/v1/models", content=model + b"\0" * SIZE)
        assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert [path for path in full.rglob("*") if path.is_file() and path.stat().st_size > 4096] == []
        uploaded = cluster.upload("model", examples / "digits.onnx")
        assert_sound(cluster, cluster.ended(cluster.submit(model=uploaded, spec=SPEC)))
