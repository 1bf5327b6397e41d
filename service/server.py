"""Serving the gateway: its command line, and what it refuses to start with."""

import argparse
import gc
import sys

import uvicorn

from jobs.logs import configure_logs
from jobs.settings import Settings
from jobs.tracing import configure_traces
from service.app import create_app
from service.guard import is_loopback


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    settings = Settings()
    refusal = _refusal(settings, options.host)
    if refusal:
        sys.stderr.write(refusal + "\n")
        return 3
    configure_logs(settings.log_format)
    configure_traces("quantd-gateway", settings.otel_exporter_otlp_endpoint)
    app = create_app(settings)
    gc.freeze()  # what is there now stays: no collection is to walk it
    gc.enable()
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", timeout_graceful_shutdown=5)
    return 0


def _refusal(settings: Settings, host: str) -> str | None:
    """Why the gateway must not start like this; None where it may."""
    if settings.auth == "required" or is_loopback(host):
        return None
    return (
        f"QUANTD_AUTH=off is refused on {host}: anybody could use it; accepted: a loopback address, or "
        "QUANTD_AUTH=required and keys from `quantd keys create`"
    )
