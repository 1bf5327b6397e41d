"""The journal names what changed lately, and forgets the rest."""

import time

import pytest

from jobs import journal
from jobs.journal import FOLDER, KEPT_S, Change, Journal


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose number is the time of the journal."""
    times = [time.time()]
    monkeypatch.setattr(journal.time, "time", lambda: times[0])
    return times


def test_the_last_change_of_each_document_since_a_time_is_listed(blobs, clock):
    entries, began = Journal(blobs), clock[0]
    entries.note("t/jobs/old/record.json", Change.WRITTEN)
    entries.note("t/jobs/a/record.json", Change.WRITTEN)
    clock[0] += 600
    entries.note("t/jobs/a/record.json", Change.REMOVED)
    entries.note("t/jobs/a/record.json", Change.ENDED)
    entries.note("_keys/b.json", Change.WRITTEN)
    blobs.put(f"{FOLDER}/9999999999/no entry", b"")
    assert entries.since(clock[0] - 300) == {"t/jobs/a/record.json": Change.REMOVED, "_keys/b.json": Change.WRITTEN}
    assert len(entries.since(began)) == 3


def test_entries_of_a_clock_that_is_ahead_are_listed(blobs, clock):
    clock[0] += 240
    Journal(blobs).note("t/jobs/a/record.json", Change.WRITTEN)
    clock[0] -= 240
    assert list(Journal(blobs).since(clock[0])) == ["t/jobs/a/record.json"]


def test_old_entries_are_removed(blobs, clock):
    entries = Journal(blobs)
    entries.note("t/jobs/old/record.json", Change.WRITTEN)
    clock[0] += KEPT_S + 120
    entries.note("t/jobs/new/record.json", Change.WRITTEN)
    for _ in range(2):
        entries.trim()
        assert list(entries.since(0)) == ["t/jobs/new/record.json"]
