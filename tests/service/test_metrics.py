"""Gauges of the queue."""

import time

import redis
from prometheus_client import generate_latest

from service.metrics import queue_registry


class Records:
    """Records with a prepared queue; None for an unreachable Redis."""

    def __init__(self, depth):
        self._depth = depth

    def depth(self):
        if self._depth is None:
            raise redis.ConnectionError
        return self._depth


def test_the_queue_is_read_at_each_scrape():
    text = generate_latest(queue_registry(Records((3, 1, time.time() - 10)))).decode()
    assert "quantd_jobs_queued 3.0" in text
    assert "quantd_jobs_running 1.0" in text
    assert "quantd_oldest_queued_seconds 10" in text


def test_an_unreachable_redis_leaves_the_gauges_out():
    assert generate_latest(queue_registry(Records(None))) == b""
