"""The gateway's command line; it refuses to start unprotected on a public address."""

import argparse
import contextlib
import gc
import socket
import sys

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from jobs.logs import configure_logs
from jobs.settings import Settings
from jobs.tracing import configure_traces
from service.app import create_app
from service.browser import is_loopback
from service.connection_limits import LimitedProtocol, connection_limits


def main() -> int:
    """Serve until a signal arrives; return 3 if the settings do not allow the start."""
    parser = argparse.ArgumentParser(prog="python -m service", description="Serve quantd's REST API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    options = parser.parse_args()
    settings = Settings()
    refusal = _refusal(settings, options.host)
    if refusal:
        sys.stderr.write(refusal + "\n")
        return 3
    configure_logs(settings.log_format)
    configure_traces("quantd-gateway", settings.otel_exporter_otlp_endpoint)
    app = create_app(settings)
    gc.freeze()  # the objects of the imports live as long as the process: collections need not visit them
    gc.enable()
    LimitedProtocol.limits = connection_limits()
    config = uvicorn.Config(
        app, host=options.host, port=options.port, http=LimitedProtocol, log_level="warning",
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = Server(config, app)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again after its end
        server.run()
    return 0 if server.started else STARTUP_FAILURE


class Server(uvicorn.Server):
    """A server that answers the requests that wait before it closes their connections.

    Long polls and event streams end with the present state of their jobs, so a gateway that is replaced cuts none of
    them. All other requests have a few seconds to end.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, end what waits, and stop."""
        self._app.state.context.events.end()
        await super().shutdown(sockets)


def _refusal(settings: Settings, host: str) -> str | None:
    """Return the reason why the gateway must not start on this host; None if it may."""
    if settings.auth == "required" or is_loopback(host):
        return None
    return (
        f"QUANTD_AUTH=off is refused on {host}, because anybody could use the service; accepted: a loopback address, "
        "or QUANTD_AUTH=required with keys from `quantd keys create`"
    )
