"""Logs, metrics and traces of one job, from the request to the last stage."""

import gzip
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from jobs.stack import Stack
from quant.outcome.stages import Stage
from tests.specs import QUICK

DASHBOARD = Path(__file__).parent.parent.parent / "docs" / "grafana-dashboard.json"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(BaseHTTPRequestHandler):
    """An OTLP endpoint that stores the spans it receives."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {item.key: item.value.string_value for item in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                self.server.spans += [(service, span) for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def observed(tmp_path_factory, examples):
    """The jobs, metrics, spans and logs of a job that succeeded and of one that failed."""
    folder = tmp_path_factory.mktemp("observed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        collector.spans = []
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        settings = {
            "QUANTD_OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_address[1]}",
            "QUANTD_WORKER_METRICS": f"127.0.0.1:{port}",
        }
        with Stack(folder, settings=settings) as stack, httpx.Client(base_url=stack.url, timeout=70) as http:
            data = (examples / "digits.onnx").read_bytes()
            models = [http.post("/v1/models", content=content).json()["id"] for content in (data, data[:-800])]
            headers = {
                "Prefer": "wait=60", "X-Request-ID": "the-request", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
            }  # fmt: skip
            jobs = [
                http.post("/v1/jobs", json={"model": model, "spec": QUICK}, headers=headers).json() for model in models
            ]
            gateway = http.get("/metrics").text
            worker = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        collector.shutdown()
    logs = {
        name: [json.loads(line) for line in (folder / f"{name}.log").read_text().splitlines() if line.startswith("{")]
        for name in ("gateway", "worker")
    }
    return jobs, gateway, worker, collector.spans, logs


def value(text, name, **labels):
    """Return the sum of a metric's samples that have these labels."""
    samples = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.M)
    wanted = {f'{key}="{label}"' for key, label in labels.items()}
    return sum(float(number) for found, number in samples if wanted <= set(found.split(",")))


def test_the_logs_link_a_request_with_its_job_and_worker(observed):
    (job, _), _, _, _, logs = observed
    (submitted,) = [line for line in logs["gateway"] if line.get("job") == job["id"]]
    assert (submitted["event"], submitted["request"], submitted["tenant"]) == (
        "job submitted",
        "the-request",
        "default",
    )
    lines = [line for line in logs["worker"] if line.get("job") == job["id"]]
    assert [line["event"] for line in lines] == ["job started", "job ended"]
    assert {(line["request"], line["tenant"]) for line in lines} == {("the-request", "default")}
    answered = [line for line in logs["gateway"] if line["event"] == "request" and line["request"] == "the-request"]
    assert [(line["method"], line["route"], line["status"]) for line in answered] == [("POST", "/v1/jobs", 202)] * 2


def test_the_gateway_counts_requests_bytes_and_the_queue(observed, examples):
    _, gateway, _, _, _ = observed
    assert value(gateway, "quantd_requests_total", route="/v1/jobs", status="202", method="POST") == 2
    assert value(gateway, "quantd_request_seconds_count", route="/v1/jobs", method="POST") == 2
    size = (examples / "digits.onnx").stat().st_size
    assert value(gateway, "quantd_received_bytes_total", route="/v1/models") == 2 * size - 800
    assert value(gateway, "quantd_sent_bytes_total", route="/v1/jobs") > 100
    for name in ("quantd_jobs_queued", "quantd_jobs_running", "quantd_oldest_queued_seconds"):
        assert f"\n{name} 0.0\n" in gateway


def test_the_worker_counts_stages_ends_failures_and_memory(observed):
    (job, failed), _, worker, _, _ = observed
    assert (job["status"], failed["status"]) == ("succeeded", "failed")
    assert value(worker, "quantd_jobs_ended_total", status="succeeded") == 1
    assert value(worker, "quantd_jobs_ended_total", status="failed") == 1
    assert value(worker, "quantd_job_failures_total", code=failed["error"]["code"]) == 1
    for stage in (Stage.LOADING, Stage.FITTING, Stage.STORING):
        assert value(worker, "quantd_job_stage_seconds_count", stage=stage) >= 1
    assert value(worker, "quantd_child_memory_bytes_count") == 2
    assert 2 * 2**20 < value(worker, "quantd_child_memory_bytes_sum") < 4 * 2**30


def test_no_tenant_is_in_a_label(observed):
    _, gateway, worker, _, _ = observed
    assert "default" not in gateway + worker


def test_one_trace_spans_gateway_queue_and_worker(observed):
    _, _, _, spans, _ = observed
    ours = [(service, span) for service, span in spans if span.trace_id.hex() == TRACE]
    posts = [span for service, span in ours if (service, span.name) == ("quantd-gateway", "POST /v1/jobs")]
    runs = [span for service, span in ours if (service, span.name) == ("quantd-worker", "job")]
    assert len(posts) == len(runs) == 2
    assert {span.parent_span_id for span in runs} == {span.span_id for span in posts}
    stages = [span for service, span in ours if service == "quantd-worker" and span.name != "job"]
    assert {span.parent_span_id for span in stages} == {span.span_id for span in runs}
    assert {span.name for span in stages} >= {Stage.LOADING, Stage.FITTING, Stage.EXPORTING, Stage.STORING}


def test_the_dashboard_shows_every_metric(observed):
    _, gateway, worker, _, _ = observed
    there = set(re.findall(r"^(\w+)(?:{| )", gateway + worker, re.M))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name for panel in panels for target in panel["targets"] for name in re.findall(r"quantd_\w+", target["expr"])
    }
    assert asked <= there
    families = {re.sub(r"_(bucket|count|sum|total|created)$", "", name) for name in there if name.startswith("quantd_")}
    assert families == {re.sub(r"_(bucket|total)$", "", name) for name in asked}
