"""The embedded server keeps every acknowledged write."""

import os
import signal

import redis

from jobs.valkey import Valkey, server_binary


def test_acknowledged_writes_survive_a_kill(tmp_path):
    server = Valkey(tmp_path)
    with redis.Redis.from_url(server.url) as client:
        for number in range(100):
            client.set(f"key{number}", number)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    again = Valkey(tmp_path)
    try:
        with redis.Redis.from_url(again.url) as client:
            assert client.dbsize() == 100
            assert client.config_get("appendfsync")["appendfsync"] == "always"
    finally:
        again.stop()
    assert again.process.returncode is not None


def test_the_server_of_the_wheel_is_used_if_path_has_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert os.access(server_binary(), os.X_OK)
