"""The OpenAPI document, as generators of clients need it."""

import jsonschema
import pytest

from jobs.errors import error_codes
from service.api_description import operations
from service.api_examples import is_plain
from service.app import create_app

DOCUMENT = create_app().openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = list(operations(DOCUMENT))
BODIES = [
    body for operation in OPERATIONS for body in (operation.get("requestBody", {}), *operation["responses"].values())
]
PROPERTIES = {
    f"{name}.{key}": option for name, schema in SCHEMAS.items() for key, option in schema.get("properties", {}).items()
}


def resolved(option):
    """Return a property's schema, of which a reference is followed."""
    target = option.get("$ref", "").removeprefix("#/components/schemas/")
    return {**SCHEMAS[target], **option} if target else option


def test_every_operation_has_a_short_id_and_says_which_key_it_needs():
    ids = [operation["operationId"] for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert {"createJob", "createModel", "getJob", "downloadArtifact", "quantize", "followJob"} <= set(ids)
    assert all(name.isidentifier() for name in ids)
    open_to_all = {operation["operationId"] for operation in OPERATIONS if operation["security"] == []}
    assert open_to_all == {"livez", "readyz", "jobEnded", "batchEnded"}


def test_every_property_is_described_and_has_an_example():
    assert [name for name, option in PROPERTIES.items() if not resolved(option).get("description")] == []
    assert [name for name, option in PROPERTIES.items() if is_plain(option) and not option.get("examples")] == []


def test_the_examples_are_valid():
    for name, option in PROPERTIES.items():
        if is_plain(option):
            faults = [list(jsonschema.Draft202012Validator(option).iter_errors(value)) for value in option["examples"]]
            assert not any(faults), (name, faults)
    bodies = [body["content"] for body in BODIES if "example" in body.get("content", {}).get("application/json", {})]
    media = [content["application/json"] for content in bodies]
    schema = {"components": {"schemas": SCHEMAS}, "prefixItems": [entry["schema"] for entry in media]}
    jsonschema.validate([entry["example"] for entry in media], schema)


def test_every_json_body_has_an_example():
    media = [body["content"]["application/json"] for body in BODIES if "application/json" in body.get("content", {})]
    described = [entry for entry in media if entry["schema"] and entry["schema"].get("format") != "binary"]  # no files
    assert [entry for entry in described if "example" not in entry] == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("JobOut.verdict", {"pass", "fail"}),
        ("Problem.code", set(error_codes())),
        ("JobOut.created_at", "date-time"),
        ("JobOut.finished_at", "date-time"),
        ("ShareOut.expires_at", "date-time"),
    ],
)
def test_closed_sets_and_times_are_typed(name, values):
    option = PROPERTIES[name]
    branch = next(part for part in (option, *option.get("anyOf", ())) if part.get("type") == "string")
    assert (set(branch["enum"]) if "enum" in branch else branch["format"]) == values


def test_specs_reports_and_states_are_typed():
    for name in ("JobIn.spec", "JobOut.spec", "PlanIn.spec"):
        assert PROPERTIES[name]["$ref"].endswith("/Spec")
    assert PROPERTIES["JobOut.status"]["$ref"].endswith("/Status")
    report = DOCUMENT["paths"]["/v1/jobs/{job_id}/report"]["get"]["responses"]["200"]
    assert report["content"]["application/json"]["schema"]["$ref"].endswith("/Report")


def test_every_code_is_listed_with_the_response_of_its_status():
    listed = [
        code
        for response in DOCUMENT["components"]["responses"].values()
        for code in response["content"]["application/problem+json"]["examples"]
    ]
    assert set(error_codes()) - set(listed) == {"method_not_allowed"}, "no operation answers 405"
    assert len(set(listed)) == len(listed)


def test_the_webhook_has_its_payload_and_its_headers():
    webhook = DOCUMENT["webhooks"]["jobEnded"]["post"]
    headers = {parameter["name"] for parameter in webhook["parameters"]}
    assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    schema = webhook["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"type", "timestamp", "data"}


def test_no_keyword_is_newer_than_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1")
    assert "itemSchema" not in str(DOCUMENT)
