"""A worker counts how jobs end, and measures their stages."""

import socket
from urllib.request import urlopen

from prometheus_client import REGISTRY

from quant.outcome.stages import Stage
from worker.metrics import Stages, count_end, serve_metrics


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_each_stage_is_measured_once():
    stages = (Stage.LOADING, Stage.FITTING)
    before = [value("quantd_job_stage_seconds_count", stage=stage) for stage in stages]
    with Stages() as timer:
        for stage in (Stage.LOADING, Stage.LOADING, Stage.FITTING):
            timer.enter(stage)
    assert [value("quantd_job_stage_seconds_count", stage=stage) for stage in stages] == [n + 1 for n in before]


def test_failures_are_counted_by_their_code():
    before = value("quantd_job_failures_total", code="worker.timeout")
    ended = value("quantd_jobs_ended_total", status="failed")
    count_end("failed", {"code": "worker.timeout"})
    count_end("failed", None)
    assert value("quantd_job_failures_total", code="worker.timeout") == before + 1
    assert value("quantd_jobs_ended_total", status="failed") == ended + 2


def test_metrics_are_served_at_an_address():
    serve_metrics(None)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    serve_metrics(address)
    assert b"quantd_jobs_ended_total" in urlopen(f"http://{address}/metrics").read()
