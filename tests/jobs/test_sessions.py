"""An upload in parts moves forward by compare-and-set."""

import pytest
import redis

from jobs.errors import Conflict, IdempotencyMismatch, NotFound, TooManyUploads
from jobs.sessions import MAX_OPEN, Part, Session, Sessions


@pytest.fixture
def sessions(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return Sessions(valkey.url)


def session(number=1, tenant="t", length=10):
    return Session(id=f"upload_{number}", tenant=tenant, kind="model", length=length)


def test_a_part_moves_the_offset(sessions):
    sessions.begin(session())
    part = Part(key="t/uploads/1/0", size=4)
    assert sessions.advance(sessions.get("upload_1", "t"), part) == 4
    assert sessions.get("upload_1", "t").offset == 4
    assert sessions.parts(session()) == [part]


def test_of_two_writers_at_one_offset_the_second_is_refused(sessions):
    sessions.begin(session())
    before = sessions.get("upload_1", "t")
    sessions.advance(before, Part(key="a", size=4))
    with pytest.raises(Conflict, match="at offset 4, not at 0"):
        sessions.advance(before, Part(key="b", size=4))


def test_a_dropped_or_foreign_session_is_not_found(sessions):
    sessions.begin(session())
    with pytest.raises(NotFound):
        sessions.get("upload_1", "other")
    open_session = sessions.get("upload_1", "t")
    sessions.drop(open_session)
    with pytest.raises(NotFound):
        sessions.advance(open_session, Part(key="a", size=4))


def test_a_finished_session_names_its_result(sessions):
    sessions.begin(session())
    sessions.finish(session(), "model_1")
    assert sessions.get("upload_1", "t").result == "model_1"
    assert sessions.parts(session()) == []


def test_an_idempotency_key_begins_one_session(sessions):
    assert sessions.begin(session(1), "key") == "upload_1"
    assert sessions.begin(session(2), "key") == "upload_1"
    with pytest.raises(IdempotencyMismatch):
        sessions.begin(session(3, length=11), "key")


def test_a_tenant_has_a_limited_number_of_open_sessions(sessions):
    for number in range(MAX_OPEN):
        sessions.begin(session(number))
    with pytest.raises(TooManyUploads):
        sessions.begin(session(MAX_OPEN))
    sessions.begin(session(MAX_OPEN, tenant="other"))
    sessions.finish(session(0), "model_1")
    sessions.begin(session(MAX_OPEN))
