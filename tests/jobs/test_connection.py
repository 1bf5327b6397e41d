"""A connection returns text, and does not wait for a silent server."""

import socket

import pytest
import redis

from jobs.connection import connect, is_unavailable
from jobs.records import Records
from jobs.valkey import Valkey


def test_values_are_text(valkey):
    connect(valkey.url).set("key", "value")
    assert connect(valkey.url).get("key") == "value"


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr("jobs.connection.ANSWERS_WITHIN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(redis.TimeoutError):
        connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0").get("key")


@pytest.mark.parametrize(
    "settings",
    [("replicaof", "127.0.0.1 1"), ("maxmemory", "1"), ("min-replicas-to-write", "1")],
    ids=["READONLY", "OOM", "NOREPLICAS"],
)
@pytest.mark.parametrize("by_script", [False, True])
def test_a_server_that_takes_no_writes_is_unavailable_and_not_wrong(tmp_path, settings, by_script):
    server = Valkey(tmp_path)
    try:
        client = connect(server.url)
        if settings[0] == "replicaof":
            client.replicaof(*settings[1].split())
        else:
            client.config_set(*settings)
        with pytest.raises(redis.ResponseError) as refused:
            client.eval("return redis.call('SET', 'a', 'b')", 0) if by_script else client.set("a", "b")
        assert is_unavailable(refused.value)
        with pytest.raises(redis.RedisError):
            Records(server.url).ping()
    finally:
        server.stop()


def test_a_wrong_command_is_not_unavailable(valkey):
    with pytest.raises(redis.ResponseError) as refused:
        connect(valkey.url).eval("return redis.call('SET', 'a')", 0)
    assert not is_unavailable(refused.value)
