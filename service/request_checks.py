"""Checks of requests that FastAPI leaves out: query parameters that an endpoint does not have, and content types."""

from itertools import zip_longest

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from jobs.errors import BadRequest, UnsupportedMediaType
from quant.errors import MOST_FAULTS, FieldError
from quant.texts import closest


async def check_query(request: Request) -> None:
    """Refuse query parameters that the endpoint does not have, since a misspelled one would be ignored.

    Raises:
        BadRequest: there is such a parameter.
    """
    accepted = query_names(request.scope["route"])
    unknown = [name for name in request.query_params if name not in accepted]
    if unknown:
        # They take time: the rest is left out.
        suggestions = [closest(name, accepted) for name in unknown[:MOST_FAULTS]]
        faults = [
            FieldError(f"/{name}", f"unknown parameter `{name}`{suggestion}")
            for name, suggestion in zip_longest(unknown, suggestions, fillvalue="")
        ]
        raise BadRequest(f"query: {faults[0].detail}; accepted: {', '.join(accepted) or 'none'}", faults)


async def check_content_type(request: Request) -> None:
    """Refuse a body of another type where the endpoint reads JSON.

    Raises:
        UnsupportedMediaType: the body has no type, or that of a form or a file.
    """
    if request.scope["route"].body_field is None:
        return
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if has_body and sent != "application/json" and not sent.endswith("+json"):
        raise UnsupportedMediaType(f"the body's type is {sent or 'missing'}; accepted: Content-Type: application/json")


def query_names(route: APIRoute) -> tuple[str, ...]:
    """Return the names of the query parameters that an endpoint has or describes."""
    described = (route.openapi_extra or {}).get("parameters", ())
    return (
        *(field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)),
        *(parameter["name"] for parameter in described if parameter["in"] == "query"),
    )
