"""A disk that is full: what has no room is refused or fails its job, and nothing is left that takes any."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.faults.cluster import Cluster, assert_sound
from tests.e2e.faults.conftest import SPEC

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small tmpfs")
SIZE = 2 << 20


@pytest.fixture
def small(tmp_path):
    """Mounts a tmpfs of two megabytes."""
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


def test_a_worker_without_room_fails_the_job_and_does_the_next(tmp_path, small, examples):
    full = small("tmp")
    with Cluster(tmp_path) as cluster:
        cluster.kill("worker1")
        cluster.environment["TMPDIR"] = str(full)
        cluster.start("worker1")
        model = cluster.upload("model", examples / "digits.onnx")
        filler = full / "filler"
        filler.write_bytes(b"x" * (SIZE - (200 << 10)))
        error = cluster.ended(cluster.submit(model=model, spec=SPEC))["error"]
        assert error["code"] == "worker.out_of_disk"
        filler.unlink()
        assert_sound(cluster, cluster.ended(cluster.submit(model=model, spec=SPEC)))
        assert [path.name for path in full.rglob("*") if path.name == "model"] == []


def test_a_store_without_room_refuses_uploads_and_takes_them_again(tmp_path, small, examples):
    full = small("store")
    with Cluster(tmp_path) as cluster:
        model = (examples / "digits.onnx").read_bytes()
        response = cluster.http.post("/v1/models", content=model + b"\0" * SIZE)
        assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert [path for path in full.rglob("*") if path.is_file() and path.stat().st_size > 4096] == []
        uploaded = cluster.upload("model", examples / "digits.onnx")
        assert_sound(cluster, cluster.ended(cluster.submit(model=uploaded, spec=SPEC)))
