"""Prometheus metrics of the gateway and of the queue."""

import time
from collections.abc import Iterator

import redis
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from jobs.records import Records
from jobs.reindex import Restored

REQUESTS = Counter("quantd_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "quantd_request_seconds", "Seconds from a request's first byte to its response's last.", ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
RECEIVED = Counter("quantd_received_bytes", "Bytes of request bodies.", ["route"])
SENT = Counter("quantd_sent_bytes", "Bytes of response bodies.", ["route"])
RESTORED = Counter("quantd_records_restored", "Records restored from the object store.", ["kind"])
for _kind in ("key", "upload", "job", "batch"):
    RESTORED.labels(_kind)  # from the start on, so that an increase is seen
UNREADABLE = Counter("quantd_documents_unreadable", "Documents in the object store that hold no record.")


def count_restored(restored: Restored) -> None:
    """Count the records that a comparison of Redis with the object store restored, and the documents it left out."""
    counts = {"key": restored.keys, "upload": restored.uploads, "job": restored.jobs, "batch": restored.batches}
    for kind, count in counts.items():
        RESTORED.labels(kind).inc(count)
    UNREADABLE.inc(restored.unreadable)


class QueueCollector(Collector):
    """Gauges of the queue, read from the records at each scrape."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def collect(self) -> Iterator[Metric]:
        """Yield the number of queued and running jobs and the age of the oldest queued one."""
        try:
            queued, running, since = self._records.depth()
        except redis.RedisError:  # without these gauges, the rest of the scrape still succeeds
            return
        yield GaugeMetricFamily("quantd_jobs_queued", "Jobs that wait for a worker.", queued)
        yield GaugeMetricFamily("quantd_jobs_running", "Jobs that a worker is running.", running)
        age = time.time() - since if since is not None else 0.0
        yield GaugeMetricFamily("quantd_oldest_queued_seconds", "Seconds that the oldest queued job has waited.", age)


def queue_registry(records: Records) -> CollectorRegistry:
    """Return a registry with the gauges of the queue."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(records))
    return registry
