"""The front page: a table of the newest jobs for a browser."""

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from service.context import Caller, Context

router = APIRouter()
_templates = Environment(loader=PackageLoader("service", "templates"), autoescape=True, undefined=StrictUndefined)

SHOWN = 50


@router.get("/", response_class=Response, include_in_schema=False)
def index(request: Request) -> Response:
    """Show the newest jobs with links to their reports; without a caller (keys are required), show no jobs."""
    context: Context = request.app.state.context
    caller: Caller | None = request.scope["state"]["caller"]
    jobs = context.records.jobs(caller.tenant, SHOWN, None)[0] if caller else None
    return Response(_templates.get_template("index.html").render(jobs=jobs), media_type="text/html; charset=utf-8")
