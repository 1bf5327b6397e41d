"""A stream ends with the final state; the wait that a Prefer header asks for."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from jobs.errors import RateLimited, Unavailable
from jobs.events import Events
from jobs.job import Status
from jobs.records import Records
from jobs.redis_keys import events_key, job_key
from jobs.stack import ADDRESS
from service.context import Caller, OpenStreams
from service.jobs import following
from service.jobs.following import events_of, preferred_wait, wait_for_end
from tests.jobs.records.samples import in_state


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("respond-async", None), ("wait=5", 5), ("respond-async, wait=9", 9),
        ("wait=600", 60), ("wait=-1", None), ("wait=x", None),
    ],
)  # fmt: skip
def test_the_wait_is_parsed_and_limited(header, seconds):
    assert preferred_wait(header) == seconds


def test_a_caller_has_a_limited_number_of_places_and_others_have_theirs():
    streams, callers = OpenStreams(most=2), [Caller(key_id="a"), Caller(key_id="b")]
    with streams.place(callers[0]), streams.place(callers[0]):
        with pytest.raises(RateLimited, match="2 event streams"), streams.place(callers[0]):
            pass
        with streams.place(callers[1]):
            pass
    with streams.place(callers[0]):
        pass


class Index:
    """An index that is complete unless it is said to be not."""

    complete = True

    def check(self):
        if not self.complete:
            raise Unavailable("it is being compared")


@pytest.fixture
async def followed(stack, monkeypatch):
    """A running job, its records, and a context with events whose reader waits after an error."""
    url = (stack.folder / ADDRESS).read_text()
    records, events = Records(url), Events(url)
    monkeypatch.setattr("jobs.events.IDLE_S", 0.05)
    monkeypatch.setattr(events, "_read", lambda: asyncio.sleep(60))
    yield in_state(records, Status.RUNNING), records, SimpleNamespace(events=events, records=records, epochs=Index())
    await events.close()


async def states(context, job, after="0"):
    return [json.loads(event.raw_data)["status"] async for event in events_of(context, job, after)]


@pytest.mark.anyio
async def test_the_end_is_sent_of_a_job_that_ends_between_two_looks(followed, monkeypatch):
    job, records, context = followed
    look = following._look

    def end_first(context, seen):
        records.finish(seen.id, "owner", Status.FAILED, {})
        return look(context, seen)

    monkeypatch.setattr(following, "_look", end_first)
    assert await states(context, job) == ["queued", "running", "failed"]


@pytest.mark.anyio
async def test_the_end_is_sent_of_a_job_whose_events_are_lost(followed):
    job, records, context = followed
    records.finish(job.id, "owner", Status.FAILED, {})
    _, running, last = await context.events.history(job.id)
    records._redis.delete(events_key(job.id))
    assert await states(context, job) == ["failed"]
    assert await states(context, job, running.id) == ["failed"]
    assert await states(context, records.job(job.id), last.id) == []


@pytest.mark.anyio
async def test_a_gateway_that_stops_ends_a_stream_with_the_present_state(followed):
    job, _, context = followed
    sent = []
    async for event in events_of(context, job, "0"):
        sent.append(event)
        if len(sent) == 2:
            context.events.end()
    assert [json.loads(event.raw_data) for event in sent[1:]] == [{"status": "running", "final": False}] * 2
    assert (sent[1].id is None, sent[2].id) == (False, None)


@pytest.mark.anyio
async def test_a_gateway_that_stops_sends_the_end_of_a_job_with_an_id(followed):
    job, records, context = followed
    records.finish(job.id, "owner", Status.FAILED, {})
    context.events.end()
    (event,) = [event async for event in events_of(context, job, "0")]
    assert json.loads(event.raw_data) == {"status": "failed", "final": True}
    assert event.id.endswith("-0")


@pytest.mark.anyio
async def test_a_gateway_that_stops_ends_a_wait_with_the_job_as_it_is(followed):
    job, _, context = followed
    context.streams = OpenStreams(most=2)
    context.caller = Caller(key_id="a")
    waiting = asyncio.create_task(wait_for_end(context, job, 60))
    await asyncio.sleep(0.05)
    context.events.end()
    assert (await asyncio.wait_for(waiting, 10)).status == Status.RUNNING


@pytest.mark.anyio
async def test_a_stream_goes_on_while_the_record_is_missing_from_an_incomplete_index(followed, monkeypatch):
    job, records, context = followed
    looks, look = [], following._look
    records._redis.delete(job_key(job.id), events_key(job.id))

    def counted(context, seen):
        looks.append(seen)
        context.epochs.complete = len(looks) > 2
        return look(context, seen)

    monkeypatch.setattr(following, "_look", counted)
    assert await states(context, job) == []
    assert looks == [job] * 3  # and with a complete index it was deleted
