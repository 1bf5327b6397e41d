"""Sources of models and datasets as callers name them, and the reading of such a request."""

import json
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from jobs.errors import TooLarge
from jobs.remote.locations import LONGEST
from service.problems import invalid_request

MEDIA_TYPE = "application/json"
MAX_BODY = 1 << 16
CredentialsName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


SOURCE_EXAMPLE = {"source": "s3://models/resnet50.onnx", "credentials": "models", "filename": "resnet50.onnx"}


class SourceIn(BaseModel):
    """A file that the service fetches itself."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    source: Annotated[str, StringConstraints(max_length=LONGEST)]
    """The location: `https://host/path`, `s3://bucket/key`, `hf://owner/name/file` or `mlflow:/name/version`. The
    operator of the service decides which are allowed."""
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")] | None = None
    """The SHA-256 of the file in hexadecimal, verified. If the file is stored already, it is not fetched."""
    filename: Annotated[str, StringConstraints(max_length=255)] | None = None
    """The name of the file; the last part of the location by default."""
    credentials: CredentialsName | None = None
    """The name of credentials that the operator of the service has set up."""


def names_source(request: Request) -> bool:
    """Return True if the body names a source instead of holding the file."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == MEDIA_TYPE


async def read_source(request: Request) -> SourceIn:
    """Return the source that the body names.

    Raises:
        TooLarge: the body is longer than `MAX_BODY`.
        BadRequest: it names no source.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"the body is larger than {MAX_BODY} bytes; accepted: up to {MAX_BODY}, in JSON")
    try:
        return SourceIn.model_validate(json.loads(body))
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
        raise invalid_request(faults, SourceIn.model_fields) from None
    except (ValueError, RecursionError) as error:
        position, reason = getattr(error, "pos", 0), getattr(error, "msg", "not JSON")
        fault = {"type": "json_invalid", "loc": ("body", position), "ctx": {"error": reason}}
        raise invalid_request([fault], (), getattr(error, "doc", "")) from None
