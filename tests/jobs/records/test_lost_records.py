"""A record that Redis has lost, while its id is still in queues and indexes, hinders no other job."""

import pytest

from jobs.job import Progress, Status, Webhook
from jobs.records import Records
from jobs.redis_keys import OPEN, WEBHOOKS, events_key, job_key
from quant.outcome.stages import Stage
from tests.jobs.records.samples import in_state, queued

PROGRESS = Progress(fraction=0.5, done=1, total=2, message="")
CHANGES = {
    "claim_stale": lambda records, job: records.claim_stale(),
    "claim_webhooks": lambda records, job: records.claim_webhooks([job.id], 60),
    "claim": lambda records, job: records.claim(job.id, "other"),
    "claim_next": lambda records, job: records.claim_next("job", "other", job.id),
    "progress": lambda records, job: records.progress(job.id, "owner", Stage.LOADING, PROGRESS),
    "log": lambda records, job: records.log(job.id, "owner", "info", "text"),
    "heartbeat": lambda records, job: records.heartbeat(job.id, "owner"),
    "finish": lambda records, job: records.finish(job.id, "owner", Status.FAILED, {}),
    "cancel": lambda records, job: records.cancel(job),
    "mark_archived": lambda records, job: records.mark_archived(job),
    "delete_job": lambda records, job: records.delete_job(job),
    "queue_position": lambda records, job: records.queue_position(job.id),
    "webhook_later": lambda records, job: records.webhook_later(job.id, 1),
}
"""The calls that change the record of a job, or what is counted in it."""


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.CANCELLED])
@pytest.mark.parametrize("change", CHANGES)
def test_no_call_makes_half_a_record_of_a_lost_one(valkey, change, status):
    records = Records(valkey.url, lease_s=0)
    records._redis.flushall()
    other = queued(records)
    lost = in_state(records, status, webhook=Webhook(url="http://127.0.0.1/"))
    records._redis.delete(job_key(lost.id), events_key(lost.id))
    CHANGES[change](records, lost)
    assert not records._redis.exists(job_key(lost.id))
    assert [job.id for job in records.jobs("default", 10, None)[0]] == [other.id]
    assert lost.id not in [job.id for job in records.unarchived()]


def test_lost_jobs_and_webhooks_leave_the_schedules_and_others_are_sent_again(valkey):
    records = Records(valkey.url, lease_s=0)
    records._redis.flushall()
    lost, other = queued(records), queued(records)
    ended = in_state(records, Status.CANCELLED, webhook=Webhook(url="http://127.0.0.1/"))
    records._redis.delete(job_key(lost.id), job_key(ended.id))
    assert records.claim_stale() == [other.id]
    assert records.claim_webhooks([ended.id], 60) == {}
    assert records._redis.zscore(OPEN, lost.id) is None
    assert records._redis.zscore(WEBHOOKS, ended.id) is None
