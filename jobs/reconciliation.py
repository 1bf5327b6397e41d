"""Keeping the index complete: Redis is compared with the object store at its start, after a fail-over, and regularly.

A full comparison restores an index that was emptied or is an old copy. A short one reads the journal of the last
minutes, and restores what a fail-over or the end of an append-only file has lost.
"""

import threading
import time
from collections.abc import Callable

import structlog

from jobs.epochs import Epochs, Look
from jobs.journal import KEPT_S
from jobs.reindex import Restored, Restorer

EVERY_S = 15.0
"""The journal is compared this often by all gateways together."""
MARGIN_S = 300.0
"""A comparison begins so long before the epoch: clocks may differ, and an upload is recorded after its document."""

log = structlog.get_logger()


class Stopped(Exception):
    """The gateway stops."""


class Reconciliation:
    """The comparisons of one gateway. Of several gateways, one at a time compares."""

    def __init__(self, epochs: Epochs, restorer: Restorer) -> None:
        self._epochs, self._restorer = epochs, restorer
        self._stopped = threading.Event()

    def step(self) -> Restored | None:
        """Compare if it is time to; return what was restored, or None without a comparison.

        Raises:
            LeaseLost: Redis was emptied or replaced meanwhile; the next step compares again.
        """
        look = self._epochs.look()
        if look.compared and look.epoch is not None and 0 <= look.clock - look.epoch < EVERY_S:
            return None
        with self._epochs.lease(look) as lease:
            if lease is None:
                return None

            def alive() -> None:
                if self._stopped.is_set():
                    raise Stopped
                lease.renew()

            stored = self._epochs.stored() or 0.0
            restored = self._compare(look, stored, alive)
            self._epochs.set(max(look.clock, look.epoch or 0.0, stored), lease)
        self._restorer.archive.trim_journal()
        return restored

    def stop(self) -> None:
        """End a comparison that is running."""
        self._stopped.set()

    def _compare(self, look: Look, stored: float, alive: Callable[[], None]) -> Restored:
        if look.epoch is None or stored - look.epoch > KEPT_S - 2 * MARGIN_S:
            log.warning("the index is restored from the object store", epoch=look.epoch, stored=stored)
            return self._restorer.restore_all(alive)
        since = min(look.epoch, look.clock, time.time()) - MARGIN_S
        return self._restorer.restore_since(since, alive)
