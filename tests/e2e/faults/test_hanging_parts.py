"""A store or a fork server that hangs: cancellations are heard all the same, and the worker's slot is free again."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.faults.cluster import assert_sound, until
from tests.e2e.faults.conftest import SPEC
from worker.attempts import MOST_ABANDONED

HEARD_WITHIN_S = 20.0
"""Five seconds are promised, on a machine that is not busy; a call to a store that hangs takes longer than this."""


@contextmanager
def stopped(*pids):
    """Stop processes in the block: their connections stay open, but nobody answers."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def cancel(cluster, job):
    """Cancel a running job, and wait until it is cancelled."""
    until(lambda: cluster.job(job)["status"] == "running", "the start of the job")
    cluster.http.post(job["links"]["cancel"])
    until(lambda: cluster.job(job)["status"] == "cancelled", "the cancellation", HEARD_WITHIN_S)


def test_a_job_is_cancelled_while_the_download_of_its_model_hangs(stored, swift, examples):
    model = stored.upload("model", examples / "digits.onnx")
    stored.kill("worker1")
    jobs = [stored.submit(model=model, spec=SPEC) for _ in range(MOST_ABANDONED + 1)]
    with stopped(*swift.pids):
        stored.start("worker1")
        for job in jobs[:-1]:  # each starts although the call of the one before still hangs
            cancel(stored, job)
    stored.wait_ready()
    assert_sound(stored, stored.ended(jobs[-1]), attempts=stored.job(jobs[-1])["attempt"])
    assert b"worker replaced" in Path(stored.folder / "worker1.log").read_bytes()
    assert stored.processes["worker1"].poll() is None  # the process is the same, but all of its calls are new


def test_a_job_is_cancelled_while_the_upload_of_its_artifacts_hangs(stored, swift, examples):
    model = stored.upload("model", examples / "digits.onnx")
    job = stored.submit(model=model, spec=SPEC)
    held, size = stored.hold(), (examples / "digits.onnx").stat().st_size
    until(lambda: Path(f"/proc/{held}/cwd/model").stat().st_size == size, "the end of the download")
    with stopped(*swift.pids):
        os.kill(held, signal.SIGCONT)
        until(lambda: stored.busy_now("worker1") is None, "the end of the job's process")
        cancel(stored, job)
    assert_sound(stored, stored.ended(stored.submit(model=model, spec=SPEC)))


def fork_server(worker):
    """Return the process id of a worker's fork server."""
    for child in Path(f"/proc/{worker}/task/{worker}/children").read_text().split():
        if b"worker.forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return None


def test_a_job_is_cancelled_while_the_fork_server_hangs_and_a_new_one_serves_the_next(cluster, model):
    assert_sound(cluster, cluster.ended(cluster.submit(model=model, spec=SPEC)))  # its libraries are loaded
    hanging = until(lambda: fork_server(cluster.processes["worker1"].pid), "the fork server")
    os.kill(hanging, signal.SIGSTOP)
    cancel(cluster, cluster.submit(model=model, spec=SPEC))
    assert_sound(cluster, cluster.ended(cluster.submit(model=model, spec=SPEC)))
    assert fork_server(cluster.processes["worker1"].pid) != hanging
