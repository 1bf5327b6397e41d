"""Browser sessions: random tokens, stored as hashes, that end."""

import time

import pytest
import redis

from jobs.browser_sessions import BrowserSessions, csrf_token
from jobs.errors import Unauthenticated


@pytest.fixture
def client(valkey):
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def sessions(valkey, client):
    return BrowserSessions(valkey.url, idle_s=60)


def test_a_session_leads_to_its_key(sessions):
    token = sessions.begin("key", "quantd")
    assert sessions.key_id("quantd", token) == "key"


def test_tokens_are_random_and_not_stored(sessions, client):
    tokens = {sessions.begin("key", "quantd") for _ in range(50)}
    assert len(tokens) == 50
    stored = " ".join(client.keys("*")) + " ".join(client.mget(client.keys("*")))
    assert not [token for token in tokens if token in stored]


@pytest.mark.parametrize("cookie", ["__Host-quantd", "", "QUANTD"])
def test_a_token_is_valid_only_in_the_cookie_it_was_made_for(sessions, cookie):
    token = sessions.begin("key", "quantd")
    with pytest.raises(Unauthenticated):
        sessions.key_id(cookie, token)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "*", "é"])
def test_an_unknown_token_is_refused(sessions, token):
    sessions.begin("key", "quantd")
    with pytest.raises(Unauthenticated, match="sign in again"):
        sessions.key_id("quantd", token)


def test_an_ended_session_is_refused(sessions):
    token = sessions.begin("key", "quantd")
    sessions.end("quantd", token)
    with pytest.raises(Unauthenticated):
        sessions.key_id("quantd", token)


def test_a_session_ends_unused_and_every_request_prolongs_it(valkey, client):
    sessions = BrowserSessions(valkey.url, idle_s=60)
    token = sessions.begin("key", "quantd")
    (name,) = client.keys("qd:session:*")
    client.expire(name, 5)
    sessions.key_id("quantd", token)
    assert 55 <= client.ttl(name) <= 60
    client.expire(name, 0)
    with pytest.raises(Unauthenticated):
        sessions.key_id("quantd", token)


def test_a_session_ends_at_its_greatest_age_however_much_it_is_used(sessions, monkeypatch):
    token = sessions.begin("key", "quantd")
    later = time.time() + 7 * 24 * 3600 + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated):
        sessions.key_id("quantd", token)


def test_the_csrf_token_follows_from_the_token_and_does_not_reveal_it():
    assert csrf_token("a") == csrf_token("a")
    assert csrf_token("a") != csrf_token("b")
    assert "token" not in csrf_token("token")
