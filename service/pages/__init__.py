"""Web pages for people: server-rendered HTML in one layout, with packaged assets and a strict content policy.

A page is a module of this package and a template:

```python
from service.context import Ctx
from service.pages.frame import page_router, render

router = page_router()  # add it to PAGE_ROUTERS in service/app.py


@router.get("/jobs/{job_id}")
def show(request: Request, job: JobOfPath, context: Ctx) -> Response:
    return render(request, "job.html", job=job)
```

- `context.caller` is the `Caller`: its tenant, scopes (`caller.may_write`) and limits. A browser without a session is
  sent to `/sign-in` and back before the handler runs. A `QuantdError` becomes a page with its status.
- A template extends `layout.html` and fills the blocks `title`, `main` and, for scripts, `head`. It has the values
  that `render` was given, and `caller`, `csrf_token`, `path` and `static`.
- A form that changes something holds `<input type="hidden" name="csrf_token" value="{{ csrf_token }}">`. A script sends
  the content of `<meta name="csrf-token">` as the header `X-CSRF-Token`, also to `/v1/...`, which accepts the session's
  cookie beside API keys. `page_router` checks the token. The token is empty while authentication is off.
- Assets are files below `service/static/`: `{{ static("app.css") }}` is the URL of one. They are read when the gateway
  starts. Inline scripts, `style` attributes and other hosts are blocked.
- The classes of the stylesheet are listed at the top of `service/static/app.css`.
"""
