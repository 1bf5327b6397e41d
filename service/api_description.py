"""The OpenAPI document of the API: what FastAPI derives from the endpoints, completed for generators of clients."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from jobs.errors import error_codes
from jobs.http_status import status_of
from service.api_examples import add_examples
from service.problems import MEDIA_TYPE, PROBLEM_STATUSES, header_docs, titles_by_code

DESCRIPTION = """Post-training quantization of neural networks.

Upload an ONNX or TorchScript model and, optionally, calibration and evaluation data. Submit a job with a quantization
spec. Follow its events, then download the quantized ONNX model and the report.

Every error is an RFC 9457 problem with a stable `code`. Every GET answers HEAD as well, with the same headers. Unknown
query parameters are refused. `docs/versions.md` says what may change within this version of the API."""
TAGS = [
    {"name": "Models and datasets", "description": "Files that jobs read: models, calibration and evaluation data."},
    {"name": "Resumable uploads", "description": "Uploads by tus 1.0, or in parts by presigned URLs."},
    {"name": "Jobs", "description": "Quantization of models."},
    {"name": "Batches", "description": "Many jobs in one request."},
    {"name": "Plans", "description": "What a job would do, without data and in seconds."},
    {"name": "Artifacts and reports", "description": "The results of jobs."},
    {"name": "Share links", "description": "Links that show a report to anybody who has them."},
    {"name": "Webhooks", "description": "Messages of this service to its callers."},
    {"name": "Service", "description": "Health, metrics, limits and versions."},
]
SERVERS = [
    {"url": "/", "description": "The service that serves this document."},
    {"url": "http://127.0.0.1:8000", "description": "A service on this machine, started by `quantd up`."},
]
LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
CONTACT = {"name": "The quantd project"}
_PREFIX = "#/components/schemas/"


def operation_id(route: APIRoute) -> str:
    """Return the name of the endpoint's function in camel case, such as `createJob`."""
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def describe(app: FastAPI, derive: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI document of an application.

    Args:
        app: the application; the document is stored in `app.openapi_schema`.
        derive: FastAPI's own function, which derives the document from the endpoints.
    """
    if app.openapi_schema is None:
        document = derive()
        _rename_schemas(document)
        _require_discriminators(document["components"]["schemas"])
        _simplify(document["components"]["schemas"])
        for operation in operations(document):
            _complete(operation)
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        document["components"]["responses"] = {name: _problem(status) for status, name in PROBLEM_STATUSES.items()}
        add_examples(document)
        _inline(document["webhooks"], document["components"]["schemas"])
        app.openapi_schema = document
    return app.openapi_schema


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the operations of a document, those of webhooks as well."""
    for path in (*document["paths"].values(), *document.get("webhooks", {}).values()):
        yield from path.values()


def _complete(operation: dict[str, Any]) -> None:
    """Complete an operation with what FastAPI leaves out or derives wrongly."""
    operation.setdefault("security", [])
    responses = operation["responses"]
    if "$ref" not in responses.get("422", {"$ref": ""}):
        del responses["422"]  # FastAPI's own errors, which this service does not send
    for status, response in responses.items():
        if "$ref" in response:
            responses[status] = {"$ref": response["$ref"]}
        for media in response.get("content", {}).values():
            if "itemSchema" in media:  # a keyword of OpenAPI 3.2, which generators do not know yet
                media.clear()
                media["schema"] = {"type": "string", "description": "Server-sent events, one after the other."}
    operation["responses"] = dict(sorted(responses.items()))


def _problem(status: int) -> dict[str, Any]:
    """Return the response for the problems of a status, with their codes."""
    codes = sorted(code for code in set(error_codes()) if status_of(code) == status)
    titles = titles_by_code()
    examples = {code: {"summary": titles[code], "value": _example(code, titles[code], status)} for code in codes}
    headers = {
        401: header_docs(WWW_Authenticate="Always `Bearer`."),
        429: header_docs(Retry_After="The seconds to wait before the next request."),
        503: header_docs(Retry_After="The seconds to wait before the next request."),
    }.get(status)
    return {
        "description": f"Problems with the codes {', '.join(f'`{code}`' for code in codes)}.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_PREFIX}Problem"}, "examples": examples}},
        **({"headers": headers} if headers else {}),
    }


def _example(code: str, title: str, status: int) -> dict[str, Any]:
    return {
        "type": f"urn:quantd:problem:{code}", "title": title, "status": status,
        "detail": "what was wrong, where, and what would be accepted", "code": code, "errors": [],
    }  # fmt: skip


def _require_discriminators(schemas: dict[str, Any]) -> None:
    """Require the property that tells the members of a union apart, as the validation does."""
    for part in _parts(schemas):
        discriminator = part.get("discriminator")
        if discriminator is None:
            continue
        for target in discriminator["mapping"].values():
            schema, name = schemas[target.removeprefix(_PREFIX)], discriminator["propertyName"]
            schema["required"] = sorted({*schema.get("required", ()), name})
            schema["properties"][name].setdefault("description", "The name of the method.")


def _inline(webhooks: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Write the schemas of messages into their webhooks: generators, which skip webhooks, would call them unused."""
    for webhook in webhooks.values():
        for media in webhook["post"]["requestBody"]["content"].values():
            media["schema"] = schemas.pop(media["schema"]["$ref"].removeprefix(_PREFIX))


def _simplify(schemas: dict[str, Any]) -> None:
    """Write pairs, nulls, defaults and lower limits in the form that every generator reads."""
    for part in list(_parts(schemas)):
        if "prefixItems" in part:
            part["items"] = part.pop("prefixItems")[0]
        if part.get("type") == "null" and "description" in part:  # a property that is always null
            part |= {"type": ["string", "null"], "examples": [None]}
        if {"type": "null"} in (branches := part.get("anyOf", ())) and len(branches) > 2:
            values = [branch for branch in branches if branch != {"type": "null"}]
            part["anyOf"] = [{"anyOf": values}, {"type": "null"}]
        if isinstance(part.get("default"), dict):
            del part["default"]  # the defaults are those of its properties
        if "exclusiveMinimum" in part:
            part.pop("minimum", None)


def _rename_schemas(document: dict[str, Any]) -> None:
    """Give schemas whose class names occur twice short names: that of the module before that of the class."""
    names = {name: _short(name) for name in document["components"]["schemas"] if "__" in name}
    schemas = {names.get(name, name): schema for name, schema in document["components"]["schemas"].items()}
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    for name in names.values():
        schemas[name]["title"] = name
    for part in _parts(document):
        target = part.get("$ref", "")
        if isinstance(target, str) and target.removeprefix(_PREFIX) in names:
            part["$ref"] = _PREFIX + names[target.removeprefix(_PREFIX)]


def _short(name: str) -> str:
    """Return `SpecEvaluation` for `quant__spec__evaluation__Evaluation`."""
    *modules, cls = re.split("__", name)
    folder = next(part for part in ("report", "spec", "plan", *modules) if part in modules)
    return folder.capitalize() + cls


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a document."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)
