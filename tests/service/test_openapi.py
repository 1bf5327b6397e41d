"""The published OpenAPI document."""

import json

import pytest

from service.openapi import PATH, document


def test_the_published_document_is_up_to_date():
    assert PATH.read_text() == document(), "run `make openapi`"


ENDPOINTS = """
post /v1/models, get /v1/models, get /v1/models/{model_id}, delete /v1/models/{model_id}, post /v1/datasets,
get /v1/datasets, get /v1/datasets/{dataset_id}, delete /v1/datasets/{dataset_id}, post /v1/jobs, post /v1/quantize,
get /v1/jobs, get /v1/jobs/{job_id}, post /v1/jobs/{job_id}/cancel, delete /v1/jobs/{job_id},
get /v1/jobs/{job_id}/events, get /v1/jobs/{job_id}/report, get /v1/jobs/{job_id}/report.html,
get /v1/jobs/{job_id}/artifacts, get /v1/jobs/{job_id}/artifacts/{name}, post /v1/jobs/{job_id}/shares,
get /v1/jobs/{job_id}/shares,
get /v1/jobs/{job_id}/shares/{share_id}, delete /v1/jobs/{job_id}/shares/{share_id}, get /v1/capabilities,
get /livez, get /readyz, get /metrics
"""


@pytest.mark.parametrize("endpoint", [part.strip() for part in ENDPOINTS.split(",")])
def test_every_endpoint_of_the_contract_is_published(endpoint):
    verb, path = endpoint.split()
    assert verb in json.loads(document())["paths"][path]


OPERATIONS = [operation for path in json.loads(document())["paths"].values() for operation in path.values()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation["operationId"])
def test_every_operation_is_described(operation):
    assert operation["tags"]
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert all(parameter["description"].endswith(".") for parameter in operation.get("parameters", []))
