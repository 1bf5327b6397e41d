"""A worker is listed while it announces itself."""

import pytest
import redis

from jobs.workers import Worker, Workers, worker_name


@pytest.fixture
def workers(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return Workers(valkey.url)


def test_workers_are_listed_until_they_leave(workers):
    first, second = (Worker(name=worker_name(), isolation=("seccomp",)) for _ in range(2))
    workers.announce(first)
    workers.announce(second)
    assert {worker.name for worker in workers.all()} == {first.name, second.name}
    workers.leave(first)
    assert workers.all() == [second]


def test_a_silent_worker_is_not_listed(workers, monkeypatch):
    workers.announce(Worker(name="a", isolation=()))
    monkeypatch.setattr("jobs.workers.SILENT_S", -1.0)
    assert workers.all() == []
