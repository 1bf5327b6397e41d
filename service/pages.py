"""The page that people see at the gateway's address."""

from fastapi import APIRouter, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from service.context import Ctx

router = APIRouter()
_templates = Environment(loader=PackageLoader("service", "templates"), autoescape=True, undefined=StrictUndefined)

SHOWN = 50


@router.get("/", response_class=Response, include_in_schema=False)
def index(context: Ctx) -> Response:
    """The newest jobs, with links to their reports."""
    jobs, _ = context.records.jobs(context.tenant, SHOWN, None)
    return Response(_templates.get_template("index.html").render(jobs=jobs), media_type="text/html; charset=utf-8")
