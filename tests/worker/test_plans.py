"""Plans run in the worker's slot for them, and their only artifact is validated like those of jobs."""

import json
import os
import sys
import threading
import time

import pytest

from jobs.blobs import Blobs
from jobs.errors import WorkerCrashed
from jobs.job import Job, Status, Upload, new_id, now
from jobs.records import Records
from jobs.settings import Settings
from jobs.valkey import Valkey
from quant.outcome.plan import PLAN_FILE, Plan
from tests.plan_sample import PLAN
from tests.worker.stand_in import DONE, MAKES_ALL, READS
from worker.artifacts import MAX_PLAN, collect_plan
from worker.plans import run_plans
from worker.process import command
from worker.runner import Runner

WRITES = f"pathlib.Path('out/{PLAN_FILE}').write_text({PLAN.model_dump_json()!r})\n"
ANSWERED = f"print({json.dumps(json.dumps({'event': 'answered'}))})\n"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def service(valkey, tmp_path):
    """Settings, records, blobs and the id of a stored model."""
    settings = Settings(redis_url=valkey.url, store_url=tmp_path.as_uri(), plan_timeout_s=3)
    records, blobs = Records(settings.redis_url), Blobs(settings.store_url)
    blobs.put("default/models/m", b"model")
    sha256 = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    upload = Upload(
        id=new_id("model"), tenant="default", key="default/models/m", sha256=sha256, size=5, filename="m.onnx",
        created_at=now(), format="onnx",
    )  # fmt: skip
    return settings, records, blobs, records.add_upload("model", upload)[0].id


@pytest.fixture
def run_in_slot(service):
    """Queue a record of a kind; run the slot for plans with this code until the record has ended; return it."""
    settings, records, _, model = service

    def run(code, kind="plan"):
        job = Job(
            id=new_id(kind), kind=kind, tenant="default", status=Status.QUEUED, model=model, spec={}, created_at=now()
        )
        records.create_job(job)
        runner, stopped = Runner(settings, command(sys.executable, "-c", READS + code)), threading.Event()
        if kind == "job":
            runner.run_next("job")
        slot = threading.Thread(target=run_plans, args=(runner, stopped))
        slot.start()
        deadline = time.monotonic() + 60
        while not records.job(job.id).final and time.monotonic() < deadline:
            time.sleep(0.02)
        stopped.set()
        slot.join()
        runner.close()
        return records.job(job.id)

    return run


def test_a_plan_is_run_and_stored(service, run_in_slot):
    _, _, blobs, _ = service
    plan = run_in_slot("assert job['task'] == 'plan' and 'calibration' not in job\n" + WRITES + ANSWERED)
    assert plan.status == Status.SUCCEEDED, plan.error
    (artifact,) = plan.artifacts
    assert (artifact.name, artifact.media_type) == (PLAN_FILE, "application/json")
    assert Plan.model_validate_json(blobs.read(artifact.key)) == PLAN
    assert (plan.summary, plan.gates, plan.verdict) == (None, (), None)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("plan", ANSWERED),
        ("plan", f"pathlib.Path('out/{PLAN_FILE}').write_text('{{}}')\n" + ANSWERED),
        ("plan", MAKES_ALL + DONE),
        ("job", "assert 'task' not in job\n" + WRITES + ANSWERED),
        ("job", MAKES_ALL + ANSWERED),
    ],
    ids=["no_plan", "other_document", "job_for_plan", "plan_for_job", "answer_for_job"],
)
def test_a_process_that_does_something_else_fails(run_in_slot, kind, code):
    job = run_in_slot(code, kind)
    assert (job.status, job.error.code, job.artifacts) == (Status.FAILED, "worker.crashed", ())


def test_a_plan_has_its_own_time_limit(run_in_slot):
    plan = run_in_slot("time.sleep(60)")
    assert (plan.status, plan.error.code) == (Status.FAILED, "worker.timeout")
    assert "3 s" in plan.error.detail


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / PLAN_FILE).write_text(PLAN.model_dump_json())
    return folder


def with_changes(**changes):
    return json.dumps({**PLAN.model_dump(mode="json"), **changes})


ATTACKS = {
    "link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "large": lambda path: os.truncate(path, MAX_PLAN + 1),
    "deep": lambda path: path.write_text("[" * 100_000),
    "nan": lambda path: path.write_text(PLAN.model_dump_json().replace("20.5", "NaN")),
    "unknown_key": lambda path: path.write_text(with_changes(more=1)),
    "other_version": lambda path: path.write_text(with_changes(schema_version="9")),
    "other_form": lambda path: path.write_text(PLAN.model_dump_json().replace('"integer"', '"odd"')),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_invalid_plan_is_refused(out, attack):
    collect_plan(out)
    attack(out / PLAN_FILE)
    with pytest.raises(WorkerCrashed):
        collect_plan(out)
