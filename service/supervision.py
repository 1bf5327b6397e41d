"""Steps that the gateway repeats: a step that fails is logged, counted and tried again, whatever its error was."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict

LONGEST_PAUSE_S = 60.0
FAILURES = Counter("quantd_background_failures", "Failures of background tasks.", ["task"])

log = structlog.get_logger()


class BackgroundTask(BaseModel):
    """The state of a background task of this gateway."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """The name of the task."""
    failures: int = 0
    """The number of its failures since its last success."""
    failing_since: datetime | None = None
    """The time of the first of these failures."""
    error: str | None = None
    """The kind of the last error; the gateway's log has the rest."""


class Repeated:
    """A step that is repeated; after failures in a row the pause doubles, up to a minute or the step's own pause.

    Attributes:
        state: how the task is doing.
    """

    def __init__(
        self, name: str, step: Callable[[], Awaitable[object]], pause_s: float, first_pause_s: float | None = None
    ) -> None:
        self.state = BackgroundTask(name=name)
        self._step, self._pause_s = step, pause_s
        self._first_pause_s = pause_s if first_pause_s is None else first_pause_s

    async def run(self) -> None:
        """Repeat the step until the task is cancelled."""
        pause_s = self._first_pause_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._step()
            except Exception as error:  # noqa: BLE001 - the task must outlive every fault of a step
                self._failed(error)
            else:
                self.state = BackgroundTask(name=self.state.name)
            pause_s = self._next_pause()

    def _failed(self, error: Exception) -> None:
        FAILURES.labels(self.state.name).inc()
        log.exception("background task failed and will be tried again", task=self.state.name)
        self.state = BackgroundTask(
            name=self.state.name,
            failures=self.state.failures + 1,
            failing_since=self.state.failing_since or datetime.now(UTC),
            error=type(error).__name__,
        )

    def _next_pause(self) -> float:
        longest = max(LONGEST_PAUSE_S, self._pause_s)
        return float(min(self._pause_s * 2 ** min(self.state.failures, 16), longest))
