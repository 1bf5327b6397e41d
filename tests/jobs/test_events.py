"""Events arrive in order, and a stream resumes after any event."""

import json

import pytest

from jobs.events import Events
from jobs.job import Status
from tests.jobs.records.samples import in_state


async def collect(events, job_id, after="0"):
    collected = []
    async for event in events.follow(job_id, after):
        if event is None:
            break
        collected.append(event)
    await events.close()
    return collected


@pytest.fixture
def _short_wait(monkeypatch):
    monkeypatch.setattr("jobs.events.BLOCK_MS", 50)


@pytest.mark.anyio
@pytest.mark.usefixtures("_short_wait")
async def test_events_arrive_in_order_and_resume(records, valkey):
    job = in_state(records, Status.SUCCEEDED)
    events = await collect(Events(valkey.url), job.id)
    assert [json.loads(event.data)["status"] for event in events] == ["queued", "running", "succeeded"]
    assert {event.kind for event in events} == {"state"}
    assert await collect(Events(valkey.url), job.id, events[0].id) == events[1:]


@pytest.mark.anyio
async def test_the_history_is_what_a_follower_got(records, valkey):
    job = in_state(records, Status.SUCCEEDED)
    events = Events(valkey.url)
    history = await events.history(job.id)
    assert await events.history("job_none") == []
    await events.close()
    assert [event.kind for event in history] == ["state"] * 3
    assert json.loads(history[-1].data) == {"status": "succeeded", "final": True}
