"""A stream ends with the final state; the wait that a Prefer header asks for."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from jobs.errors import RateLimited
from jobs.events import Events
from jobs.job import Status
from jobs.records import Records
from jobs.stack import ADDRESS
from service.context import Caller, OpenStreams
from service.jobs import following
from service.jobs.following import events_of, preferred_wait
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


@pytest.mark.anyio
async def test_the_end_is_sent_of_a_job_that_ends_between_two_looks(stack, monkeypatch):
    url = (stack.folder / ADDRESS).read_text()
    records, events = Records(url), Events(url)
    job, has_ended = in_state(records, Status.RUNNING), following._has_ended

    def end_first(context, followed):
        records.finish(job.id, "owner", Status.FAILED, {})
        return has_ended(context, followed)

    monkeypatch.setattr("jobs.events.IDLE_S", 0.05)
    monkeypatch.setattr(events, "_read", lambda: asyncio.sleep(60))  # the reader waits after an error
    monkeypatch.setattr(following, "_has_ended", end_first)
    context = SimpleNamespace(events=events, records=records)
    states = [json.loads(event.raw_data)["status"] async for event in events_of(context, job, "0")]
    await events.close()
    assert states == ["queued", "running", "failed"]
