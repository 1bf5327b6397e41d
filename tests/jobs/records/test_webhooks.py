"""A webhook that is due is leased to one gateway and tried again until it is dropped."""

from jobs.job import Status, Webhook
from tests.jobs.records.samples import queued


def ended(records, webhook):
    job = queued(records, webhook=webhook)
    records.claim(job.id, "owner")
    records.finish(job.id, "owner", Status.SUCCEEDED, {})
    return job


def claim_due(records):
    """Claim every webhook that is due, and return the numbers of the attempts by job."""
    return records.claim_webhooks([job.id for job in records.due_webhooks()], 60)


def test_only_an_ended_job_with_a_webhook_is_due(records):
    queued(records, webhook=Webhook(url="https://example.org"))
    ended(records, None)
    job = ended(records, Webhook(url="https://example.org"))
    assert claim_due(records) == {job.id: 1}


def test_a_claimed_webhook_is_leased(records):
    job = ended(records, Webhook(url="https://example.org"))
    assert claim_due(records) == {job.id: 1}
    assert claim_due(records) == {}
    records.webhook_later(job.id, -1)
    assert claim_due(records) == {job.id: 2}


def test_a_dropped_webhook_is_not_tried_again(records):
    job = ended(records, Webhook(url="https://example.org"))
    records.drop_webhook(job.id)
    records.webhook_later(job.id, -1)
    assert claim_due(records) == {}


def test_attempts_are_counted_until_the_webhook_is_dropped(records):
    job = ended(records, Webhook(url="https://example.org"))
    assert records.webhook_attempts(job.id)[0] == 0
    claim_due(records)
    attempts, following = records.webhook_attempts(job.id)
    assert (attempts, following is not None) == (1, True)
    records.drop_webhook(job.id)
    assert records.webhook_attempts(job.id) == (1, None)


def test_a_webhook_is_claimed_once_by_gateways_that_saw_it_at_the_same_time(records):
    job = ended(records, Webhook(url="https://example.org"))
    (due,) = records.due_webhooks()
    assert records.claim_webhooks([due.id], 60) == {job.id: 1}
    assert records.claim_webhooks([due.id], 60) == {}


def test_a_postponed_webhook_is_due_later_without_an_attempt_and_a_claimed_one_stays_claimed(records):
    claimed, waiting = (ended(records, Webhook(url="https://example.org")) for _ in range(2))
    records.claim_webhooks([claimed.id], 60)
    records.postpone_webhooks([claimed.id, waiting.id], 5)
    assert records.due_webhooks() == []
    (_, at), (attempts, soon) = records.webhook_attempts(claimed.id), records.webhook_attempts(waiting.id)
    assert attempts == 0
    assert soon < at - 40
