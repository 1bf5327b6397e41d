"""The description of the API: Swagger UI from packaged files, which reads `/openapi.json`."""

from fastapi import Request, Response

from service.pages.frame import page_router, render

router = page_router()


@router.get("/docs")
def show_api_docs(request: Request) -> Response:
    """Show the API's description, with forms that try its endpoints."""
    return render(request, "api_docs.html")
