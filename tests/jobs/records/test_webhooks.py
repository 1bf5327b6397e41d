"""A webhook that is due is leased to one gateway and tried again until it is dropped."""

from jobs.job import Status, Webhook
from tests.jobs.records.samples import queued


def ended(records, webhook):
    job = queued(records, webhook=webhook)
    records.claim(job.id, "owner")
    records.finish(job.id, "owner", Status.SUCCEEDED, {})
    return job


def test_only_an_ended_job_with_a_webhook_is_due(records):
    queued(records, webhook=Webhook(url="https://example.org"))
    ended(records, None)
    job = ended(records, Webhook(url="https://example.org"))
    assert records.claim_webhooks(60) == [(job.id, 1)]


def test_a_claimed_webhook_is_leased(records):
    job = ended(records, Webhook(url="https://example.org"))
    assert records.claim_webhooks(60) == [(job.id, 1)]
    assert records.claim_webhooks(60) == []
    records.webhook_later(job.id, -1)
    assert records.claim_webhooks(60) == [(job.id, 2)]


def test_a_dropped_webhook_is_not_tried_again(records):
    job = ended(records, Webhook(url="https://example.org"))
    records.drop_webhook(job.id)
    records.webhook_later(job.id, -1)
    assert records.claim_webhooks(60) == []


def test_attempts_are_counted_until_the_webhook_is_dropped(records):
    job = ended(records, Webhook(url="https://example.org"))
    assert records.webhook_attempts(job.id)[0] == 0
    records.claim_webhooks(60)
    attempts, following = records.webhook_attempts(job.id)
    assert (attempts, following is not None) == (1, True)
    records.drop_webhook(job.id)
    assert records.webhook_attempts(job.id) == (1, None)
