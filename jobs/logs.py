"""Logging of gateway and worker: one line an event, as JSON for machines or as text for people."""

from typing import Literal

import structlog


def configure_logs(form: Literal["json", "text"]) -> None:
    """Set the log format of this process; call it once, before the first log line."""
    renderer = structlog.dev.ConsoleRenderer() if form == "text" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ]
    )
