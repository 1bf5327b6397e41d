"""Checks of the stores, at most once a second and in bounded time: a ready gateway can write to both."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

ANSWERS_WITHIN_S = 2.0
FRESH_FOR_S = 1.0


@dataclass
class _Store:
    """A store, and the check of it that is running."""

    name: str
    ping: Callable[[], None]
    running: Future[None] | None = None


class Readiness:
    """The checks of the stores of one gateway.

    They have threads of their own, and a check that hangs is not begun again: a store that hangs takes one thread.

    Args:
        pings: a function for each store, by the store's name; it raises if the store takes no write.
    """

    def __init__(self, pings: dict[str, Callable[[], None]]) -> None:
        self._stores = [_Store(name, ping) for name, ping in pings.items()]
        self._threads = ThreadPoolExecutor(len(self._stores), thread_name_prefix="readiness")
        self._lock = asyncio.Lock()
        self._checked_at = -FRESH_FOR_S
        self._fault: str | None = None

    async def fault(self) -> str | None:
        """Return what is wrong with the first store that takes no writes; None if all do."""
        async with self._lock:
            if time.monotonic() - self._checked_at >= FRESH_FOR_S:
                faults = await asyncio.gather(*(self._check(store) for store in self._stores))
                self._fault = next((fault for fault in faults if fault is not None), None)
                self._checked_at = time.monotonic()
            return self._fault

    async def _check(self, store: _Store) -> str | None:
        if store.running is None or store.running.done():
            store.running = self._threads.submit(store.ping)
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(store.running)), ANSWERS_WITHIN_S)
        except TimeoutError:
            return f"the {store.name} does not answer within {ANSWERS_WITHIN_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever a store raises, it is not ready
            return f"the {store.name} takes no writes: {type(error).__name__}"
        return None
