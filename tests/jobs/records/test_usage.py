"""Usage of tenants: counted with the end of a job and the storing of an upload, also where Redis was restored."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.job import Status
from jobs.records.usage import FIGURES
from tests.jobs.records.samples import add, in_state, queued

ARTIFACT = {"name": "model.onnx", "size": 30, "sha256": "", "media_type": "", "key": ""}


def test_ends_of_jobs_and_uploads_are_counted_by_tenant(records, lose):
    today = datetime.now(UTC).date()
    model = add(records, tenant="a", size=100)[0]
    job = queued(records, tenant="a", model=model.id)
    add(records, tenant="a", size=100)  # the same bytes
    assert records.claim(job.id, "owner")
    assert records.finish(job.id, "owner", Status.SUCCEEDED, {"artifacts": [ARTIFACT]})
    in_state(records, Status.CANCELLED, tenant="b")
    used = records.usage("a", today - timedelta(1), today)
    expected = {"jobs_succeeded": 1, "artifact_bytes": 30, "uploads": 1, "uploaded_bytes": 100}
    assert {name: used[today][name] for name in FIGURES if name != "job_seconds"} == {
        **dict.fromkeys((name for name in FIGURES if name != "job_seconds"), 0), **expected
    }  # fmt: skip
    assert 0 < used[today]["job_seconds"] < 60
    assert list(records.usage_by_tenant(today, today)) == ["a", "b"]
    assert (records.usage("c", today, today), records.today()) == ({}, today)

    ended = records.job(job.id)
    lose()
    records.restore_upload("model", model)
    records.restore_job(ended)
    restored = records.usage("a", today, today)[today]
    assert restored == {**used[today], "job_seconds": pytest.approx(used[today]["job_seconds"], abs=0.1)}
