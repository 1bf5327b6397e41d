"""Events arrive in order, and a stream resumes after any event."""

import asyncio
import json

import pytest
import redis

from jobs.events import CONNECTIONS, Events
from jobs.job import Status
from jobs.redis_keys import events_key
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
    monkeypatch.setattr("jobs.events.IDLE_S", 0.05)


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


@pytest.mark.anyio
async def test_any_number_of_followers_takes_few_connections_and_all_hear_of_the_end(records, valkey):
    job, other = in_state(records, Status.QUEUED), in_state(records, Status.QUEUED)
    events = Events(valkey.url)

    async def kinds(followed):
        got = []
        async for event in events.follow(followed.id):
            if event is not None:
                got.append(json.loads(event.data)["status"])
                if got[-1] == "cancelled":
                    return got

    followers = [asyncio.create_task(kinds(followed)) for followed in [job] * 150 + [other] * 50]
    await asyncio.sleep(0.3)
    with redis.Redis.from_url(valkey.url) as client:
        assert len(client.client_list()) < CONNECTIONS + 10
    records.cancel(job)
    records.cancel(other)
    assert await asyncio.wait_for(asyncio.gather(*followers), 20) == [["queued", "cancelled"]] * 200
    await events.close()


@pytest.mark.anyio
async def test_followers_go_on_after_the_reader_lost_its_connection(records, valkey):
    job = in_state(records, Status.QUEUED)
    events = Events(valkey.url)
    following = events.follow(job.id)
    assert (await anext(following)).kind == "state"
    with redis.Redis.from_url(valkey.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    records.cancel(job)
    seen = await anext(following)
    while seen is None:
        seen = await anext(following)
    assert json.loads(seen.data)["status"] == "cancelled"
    await following.aclose()
    await events.close()


@pytest.mark.anyio
async def test_every_follower_ends_when_the_process_stops(records, valkey):
    job = in_state(records, Status.RUNNING)
    events = Events(valkey.url)

    async def statuses():
        return [json.loads(event.data)["status"] async for event in events.follow(job.id) if event is not None]

    followers = [asyncio.create_task(statuses()) for _ in range(3)]
    while not events._followed or len(events._followed[events_key(job.id)].followers) < 3:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    events.end()
    assert await asyncio.gather(*followers) == [["queued", "running"]] * 3
    assert await statuses() == []
    await events.close()
