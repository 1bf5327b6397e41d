"""Equal bytes are stored once for a tenant, and stay while an open job uses them."""

import pytest

from jobs.errors import Conflict, NotFound, StorageFull
from jobs.job import Status
from tests.jobs.records.samples import add, queued


@pytest.mark.parametrize("role", ["model", "calibration", "evaluation"])
def test_an_upload_of_an_open_job_is_not_deleted(records, role):
    kind = "model" if role == "model" else "dataset"
    upload, _ = add(records, kind)
    job = queued(records, **{role: upload.id})
    with pytest.raises(Conflict, match=job.id):
        records.delete_upload(kind, upload)
    records.cancel(job)
    records.delete_upload(kind, upload)
    with pytest.raises(NotFound):
        records.upload(kind, upload.id)
    assert add(records, kind)[1]  # the same bytes are new again


def test_equal_bytes_are_stored_once_for_a_tenant(records):
    first, created = add(records)
    again, created_again = add(records)
    other, created_other = add(records, tenant="other")
    assert (created, created_again, created_other) == (True, False, True)
    assert again == first != other


def test_objects_of_another_tenant_are_not_found(records):
    job, upload = queued(records), add(records)[0]
    with pytest.raises(NotFound):
        records.job(job.id, "other")
    with pytest.raises(NotFound):
        records.upload("model", upload.id, "other")
    assert records.jobs("other", 10, None) == records.uploads("other", "model", 10, None) == ([], None)


def test_bytes_are_counted_and_released_once(records):
    upload, _ = add(records, api_key="k", size=40, limit=100)
    with pytest.raises(StorageFull, match="40 of the 100 bytes"):
        add(records, sha256="b" * 64, api_key="k", size=61, limit=100)
    assert add(records, api_key="k", size=40, limit=40) == (upload, False)
    job = queued(records, model=upload.id, api_key="k")
    records.claim(job.id, "owner")
    artifact = {"name": "m", "size": 50, "sha256": "", "media_type": "", "key": ""}
    records.finish(job.id, "owner", Status.SUCCEEDED, {"artifacts": [artifact]})
    assert records.stored_bytes("k") == 90
    ended = records.job(job.id)
    for _ in range(2):
        records.delete_job(ended)
        records.delete_upload("model", upload)
    assert records.stored_bytes("k") == 0
