"""A job ends exactly once, whatever its process and its messages do."""

import errno
import hashlib
import json
import os
import signal
import sys
import threading
import time

import pytest
import redis

from jobs.blobs import Blobs
from jobs.job import Job, Progress, Status, Upload, new_id, now
from jobs.records import ATTEMPTS, Records
from jobs.redis_keys import events_key
from jobs.settings import Settings
from jobs.valkey import Valkey
from quant.outcome.artifacts import ARTIFACTS
from quant.outcome.stages import Stage
from tests.worker.stand_in import DONE, MAKES_ALL, READS, last_line
from worker.process import command
from worker.relay import MAX_LOG_CHARACTERS, MAX_LOG_LINES
from worker.runner import Runner

NAMES = [kind.name for kind in ARTIFACTS if kind.always]
PROGRESS = Progress(fraction=0.5, done=1, total=2, message="conv1")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def service(valkey, tmp_path):
    """Settings, records and blobs with one stored model; no job waits."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    settings = Settings(redis_url=valkey.url, store_url=tmp_path.as_uri(), job_timeout_s=20)
    records, blobs = Records(settings.redis_url), Blobs(settings.store_url)
    (tmp_path / "source").write_bytes(b"model")
    blobs.write_file("default/models/m", tmp_path / "source")
    sha256 = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    upload = Upload(
        id=new_id("model"), tenant="default", key="default/models/m", sha256=sha256, size=5,
        filename="m.onnx", created_at=now(), format="onnx",
    )  # fmt: skip
    kept, _ = records.add_upload("model", upload)
    return settings, records, blobs, kept.id


def queued(records, model):
    job = Job(id=new_id("job"), tenant="default", status=Status.QUEUED, model=model, spec={}, created_at=now())
    return records.create_job(job).id


def run(settings, job_id, code):
    runner = Runner(settings, command(sys.executable, "-c", READS + code))
    runner.run_next("job", job_id)
    runner.close()


def test_a_job_stores_its_artifacts_under_their_digests(service):
    settings, records, blobs, model = service
    job_id = queued(records, model)
    run(settings, job_id, MAKES_ALL + DONE)
    job = records.job(job_id)
    assert job.status == Status.SUCCEEDED, job.error
    assert [artifact.name for artifact in job.artifacts] == NAMES
    for artifact in job.artifacts:
        assert hashlib.sha256(blobs.read(artifact.key)).hexdigest() == artifact.sha256
    assert blobs.read(job.artifacts[0].key) == b"model.onnx"
    assert all(artifact.sha256 in artifact.key for artifact in job.artifacts)


def test_a_second_message_for_the_same_job_does_nothing(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    run(settings, job_id, MAKES_ALL + DONE)
    first = records.job(job_id)
    run(settings, job_id, "import os; os._exit(1)")
    assert records.job(job_id) == first


def test_an_error_of_the_quantizer_becomes_the_problem_of_the_job(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    error = {
        "event": "error",
        "code": "model.unreadable",
        "title": "t",
        "detail": "d",
        "errors": [{"pointer": "/a", "detail": "b"}],
    }
    run(settings, job_id, f"print({json.dumps(json.dumps(error))})")
    problem = records.job(job_id).error
    assert (problem.code, problem.status, problem.errors[0].pointer) == ("model.unreadable", 422, "/a")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import ctypes; ctypes.string_at(0)", "worker.crashed"),
        ("raise MemoryError", "worker.out_of_memory"),
        (DONE, "worker.crashed"),  # without its artifacts
        (MAKES_ALL + last_line(summary={}), "worker.crashed"),
        (MAKES_ALL + last_line(verdict="splendid"), "worker.crashed"),
        (MAKES_ALL + last_line(gates=[{"name": "max_size_ratio"}]), "worker.crashed"),
    ],
)
def test_a_child_that_dies_fails_its_job(service, code, expected):
    settings, records, _, model = service
    job_id = queued(records, model)
    run(settings, job_id, code)
    job = records.job(job_id)
    assert (job.status, job.error.code) == (Status.FAILED, expected)
    assert "Traceback" not in job.error.detail


DIES = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass"
"""The kernel kills the process: as init of its own process ids, it cannot kill itself."""


def test_a_job_whose_process_is_killed_each_time_is_tried_three_times_and_then_fails(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    run(settings, job_id, DIES)
    job = records.job(job_id)
    assert (job.status, job.error.code, job.attempt) == (Status.FAILED, "worker.crashed", ATTEMPTS)
    assert "SIGKILL" in job.error.detail


def test_a_job_for_which_no_worker_has_room_fails_after_all_attempts(service, monkeypatch):
    settings, records, _, model = service
    job_id = queued(records, model)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("worker.runner.PAUSE_S", 0)
    monkeypatch.setattr("jobs.blobs.Blobs.fetch", full)
    for attempt in range(1, ATTEMPTS + 1):
        assert records.job(job_id).status == (Status.QUEUED if attempt == 1 else Status.RUNNING)
        assert attempt == 1 or records.claim_stale() == [job_id]
        run(settings, job_id, MAKES_ALL + DONE)
        assert records.job(job_id).attempt == attempt
    job = records.job(job_id)
    assert (job.status, job.error.code) == (Status.FAILED, "worker.out_of_disk")
    assert f"{ATTEMPTS} attempts" in job.error.detail


def test_a_job_that_the_kernel_kills_for_lack_of_memory_is_not_tried_again(service, tmp_path, monkeypatch):
    kills = tmp_path / "vmstat"
    kills.write_text("pgfault 1\noom_kill 1\n")
    monkeypatch.setattr("worker.child._OOM_KILLS", kills)
    settings, records, _, model = service
    job_id = queued(records, model)
    beside = threading.Thread(target=run, args=(settings, job_id, "time.sleep(0.5)\n" + DIES))
    beside.start()
    while records.job(job_id).status != Status.RUNNING:
        time.sleep(0.02)
    time.sleep(0.2)
    kills.write_text("pgfault 1\noom_kill 2\n")
    beside.join()
    job = records.job(job_id)
    assert (job.error.code, job.attempt) == ("worker.out_of_memory", 1)


def test_endless_log_messages_are_limited(service, valkey):
    settings, records, _, model = service
    job_id = queued(records, model)
    line = json.dumps({"event": "log", "level": "info", "message": "x" * (MAX_LOG_CHARACTERS + 1)})
    run(settings, job_id, f"print({line + chr(10)!r} * {MAX_LOG_LINES + 10}, end='')\n" + MAKES_ALL + DONE)
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        events = [(fields["event"], json.loads(fields["data"])) for _, fields in client.xrange(events_key(job_id))]
    messages = [data["message"] for event, data in events if event == "log"]
    assert messages == ["x" * MAX_LOG_CHARACTERS] * (MAX_LOG_LINES - 1) + ["further messages are not recorded"]
    assert records.job(job_id).status == Status.SUCCEEDED


def test_a_job_that_exceeds_its_time_fails(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    run(settings.model_copy(update={"job_timeout_s": 0.5}), job_id, "while True: pass")
    assert records.job(job_id).error.code == "worker.timeout"


def test_a_running_job_stops_when_it_is_cancelled(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    worker = threading.Thread(target=run, args=(settings, job_id, "import time; time.sleep(60)"))
    worker.start()
    while records.job(job_id).status != Status.RUNNING:
        time.sleep(0.02)
    records.cancel(records.job(job_id))
    worker.join(timeout=30)
    assert not worker.is_alive()
    assert records.job(job_id).status == Status.CANCELLED


def cancelled_while_it_hangs(records, runner, job_id):
    """Cancel a job once it runs, and return after its slot is free."""
    slot = threading.Thread(target=runner.run_next, args=("job", job_id))
    slot.start()
    while records.job(job_id).status != Status.RUNNING:
        time.sleep(0.02)
    records.cancel(records.job(job_id))
    slot.join(timeout=30)
    assert not slot.is_alive()
    assert records.job(job_id).status == Status.CANCELLED


def test_a_job_is_cancelled_while_the_file_of_its_model_cannot_be_opened(service, tmp_path):
    settings, records, _, model = service
    path = tmp_path / "default" / "models" / "m"
    path.unlink()
    os.mkfifo(path)  # opening it hangs, as a file of a network file system does
    runner = Runner(settings, command(sys.executable, "-c", READS + MAKES_ALL + DONE))
    cancelled_while_it_hangs(records, runner, queued(records, model))
    os.close(os.open(path, os.O_WRONLY))  # the call that hangs returns
    runner.close()


def test_a_job_is_cancelled_while_its_process_does_not_start_and_the_process_ends_when_it_does(service):
    settings, records, _, model = service
    start, goes_on, processes = command(sys.executable, "-c", READS), threading.Event(), []

    def hang(*arguments):
        goes_on.wait(30)
        processes.append(start(*arguments))
        return processes[0]

    runner = Runner(settings, hang)
    cancelled_while_it_hangs(records, runner, queued(records, model))
    assert processes == []
    goes_on.set()
    deadline = time.monotonic() + 30
    while not (processes and processes[0].returncode is not None) and time.monotonic() < deadline:
        time.sleep(0.02)  # the abandoned attempt kills it and removes its folder
    assert processes[0].returncode == -signal.SIGKILL
    runner.close()


def test_a_cancelled_queued_job_never_starts(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    records.cancel(records.job(job_id))
    run(settings, job_id, MAKES_ALL + DONE)
    job = records.job(job_id)
    assert (job.status, job.attempt) == (Status.CANCELLED, 0)


def test_bytes_that_changed_in_the_store_are_not_used(service, tmp_path):
    settings, records, blobs, model = service
    (tmp_path / "other").write_bytes(b"other")
    blobs.write_file("default/models/m", tmp_path / "other")
    job_id = queued(records, model)
    run(settings, job_id, MAKES_ALL + DONE)
    assert records.job(job_id).error.code == "request.digest_mismatch"


def test_a_job_that_lost_its_worker_is_tried_three_times_and_then_fails(service):
    settings, records, _, model = service
    records = Records(settings.redis_url, lease_s=-1.0)  # every lease has expired already
    job_id = queued(records, model)
    for attempt in range(1, ATTEMPTS + 1):
        assert records.claim(job_id, f"lost{attempt}").attempt == attempt
        assert job_id in records.claim_stale()
    run(settings, job_id, MAKES_ALL + DONE)
    job = records.job(job_id)
    assert (job.status, job.error.code) == (Status.FAILED, "worker.crashed")
    assert job_id not in records.claim_stale()


def test_the_result_of_a_worker_that_lost_the_job_is_discarded(service):
    settings, records, _, model = service
    job_id = queued(records, model)
    Records(settings.redis_url, lease_s=-1.0).claim(job_id, "stale")
    records.claim(job_id, "owner")
    assert not records.finish(job_id, "stale", Status.SUCCEEDED, {})
    assert records.progress(job_id, "stale", Stage.FITTING, PROGRESS) == "lost"
    assert records.finish(job_id, "owner", Status.SUCCEEDED, {})
    assert not records.finish(job_id, "owner", Status.FAILED, {})
    assert records.job(job_id).status == Status.SUCCEEDED


def test_a_valid_lease_is_not_taken_over(service):
    _, records, _, model = service
    job_id = queued(records, model)
    assert records.claim(job_id, "one").attempt == 1
    assert records.claim(job_id, "two") is None
