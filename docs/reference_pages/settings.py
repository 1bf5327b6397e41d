"""The page of the settings, from `jobs.settings.Settings`."""

from typing import Any

from docs.reference_pages.markdown import code, document, prose, table
from jobs.settings import Settings

INTRODUCTION = """# Settings

The settings of gateway and workers are environment variables. Sizes are in bytes, times in seconds. Generated from
`jobs/settings.py` by `python -m docs.reference_pages`."""
OTHERS = """## Other variables

| variable | read by | meaning |
| --- | --- | --- |
| `QUANTD_URL` | `quantd`, the client | address of the service; `http://127.0.0.1:8000` by default |
| `QUANTD_API_KEY` | `quantd`, the client | API key |
| `FORWARDED_ALLOW_IPS` | gateway | addresses of the proxies that may say where a request comes from (uvicorn) |
| `AWS_...` | gateway, worker | credentials and endpoint of the S3 store |
| `TMPDIR` | worker | folder of the files of jobs that are not kept in memory |"""


def page() -> str:
    """Return the page."""
    schema = Settings.model_json_schema()
    rows = (
        [code(f"{Settings.model_config['env_prefix']}{name.upper()}"), _default(each), prose(each["description"])]
        for name, each in schema["properties"].items()
    )
    return document(INTRODUCTION, table(["setting", "default", "meaning"], rows), OTHERS)


def _default(schema: dict[str, Any]) -> str:
    """Return the default, whole numbers of GiB as such, or in words where it is computed."""
    default = schema["default"]
    if default in (None, ""):
        return "none"
    if isinstance(default, int) and default % 2**30 == 0:
        return f"{default // 2**30} GiB"
    return default if "`" in str(default) else code(f"{default:g}" if isinstance(default, float) else str(default))
