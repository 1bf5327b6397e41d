"""A connection returns text, and does not wait for a silent server."""

import socket

import pytest
import redis

from jobs.connection import connect


def test_values_are_text(valkey):
    connect(valkey.url).set("key", "value")
    assert connect(valkey.url).get("key") == "value"


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr("jobs.connection.ANSWERS_WITHIN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(redis.TimeoutError):
        connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0").get("key")
