"""What the gateway counts, and what it asks Redis for when it is scraped."""

import time
from collections.abc import Iterator

import redis
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from jobs.records import Records

REQUESTS = Counter("quantd_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "quantd_request_seconds", "From a request's first byte to its answer's last.", ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
RECEIVED = Counter("quantd_received_bytes", "Bytes of requests' bodies.", ["route"])
SENT = Counter("quantd_sent_bytes", "Bytes of answers' bodies.", ["route"])


class Queue(Collector):
    """How many jobs wait and run, and how old the oldest waiting one is, as the records say at this moment."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def collect(self) -> Iterator[Metric]:
        try:
            queued, running, since = self._records.depth()
        except redis.RedisError:  # a gauge without a value, and a scrape that goes on
            return
        yield GaugeMetricFamily("quantd_jobs_queued", "Jobs that wait.", queued)
        yield GaugeMetricFamily("quantd_jobs_running", "Jobs that a worker is at.", running)
        age = time.time() - since if since is not None else 0.0
        yield GaugeMetricFamily("quantd_oldest_queued_seconds", "How long the oldest waiting job has waited.", age)


def queue_registry(records: Records) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Queue(records))
    return registry
