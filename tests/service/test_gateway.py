"""The gateway starts fast, knows no numerics, and publishes what it does."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from service.openapi import PATH, document
from service.server import main

HEAVY = ("torch", "onnx", "onnx_ir", "onnxruntime", "scipy", "numba", "quant.pipeline")


def test_the_gateway_imports_no_numerics():
    code = f"import sys, service.server; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_published_contract_is_what_the_code_says():
    assert PATH.read_text() == document(), "run `make openapi`"


ENDPOINTS = """
post /v1/models, get /v1/models, get /v1/models/{model_id}, delete /v1/models/{model_id}, post /v1/datasets,
get /v1/datasets, get /v1/datasets/{dataset_id}, delete /v1/datasets/{dataset_id}, post /v1/jobs, post /v1/quantize,
get /v1/jobs, get /v1/jobs/{job_id}, post /v1/jobs/{job_id}/cancel, delete /v1/jobs/{job_id},
get /v1/jobs/{job_id}/events, get /v1/jobs/{job_id}/report, get /v1/jobs/{job_id}/report.html,
get /v1/jobs/{job_id}/artifacts, get /v1/jobs/{job_id}/artifacts/{name}, get /v1/capabilities,
get /livez, get /readyz, get /metrics
"""


@pytest.mark.parametrize("endpoint", [part.strip() for part in ENDPOINTS.split(",")])
def test_every_endpoint_of_the_contract_is_published(endpoint):
    verb, path = endpoint.split()
    assert verb in json.loads(document())["paths"][path]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_the_gateway_refuses_to_start_open_to_strangers(monkeypatch, capsys, host):
    monkeypatch.setattr(sys, "argv", ["service", "--host", host, "--port", "0"])
    assert main() == 3
    assert f"refused on {host}" in capsys.readouterr().err


def test_capabilities_tell_what_a_spec_may_say(http):
    told = http.get("/v1/capabilities").json()
    assert {rule["name"] for rule in told["clipping"]} >= {"minmax", "mae", "mse"}
    assert {family["name"] for family in told["distributions"]} >= {"gaussian", "laplace"}
    assert set(told["presets"]) == {"int8", "int8-weights", "int4", "int4-weights", "codebook4", "ternary"}
    assert "properties" in told["spec_schema"]
    assert min(told["limits"].values()) > 0
    assert told["versions"]["onnxruntime"] == metadata.version("onnxruntime")


def test_health_and_metrics_answer(http):
    assert http.get("/livez").json() == {"status": "ok"}
    assert http.get("/readyz").json()["status"] == "ok"
    counted = http.get("/metrics").text
    assert 'quantd_requests_total{method="GET",route="/livez",status="200"}' in counted


def test_a_request_id_comes_back_as_it_was_sent(http):
    assert http.get("/livez", headers={"X-Request-ID": "ci-7"}).headers["x-request-id"] == "ci-7"
    assert len(http.get("/livez").headers["x-request-id"]) == 32
