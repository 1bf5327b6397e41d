"""Readiness: a store that hangs or refuses writes is named in bounded time, and asked at most once a second."""

import asyncio
import threading

from service import readiness
from service.readiness import Readiness


def nothing():
    """A store that answers."""


def test_stores_are_asked_at_most_once_a_second():
    asked = []

    async def ask():
        ready = Readiness({"store": lambda: asked.append(1)})
        return [await ready.fault() for _ in range(5)]

    assert asyncio.run(ask()) == [None] * 5
    assert len(asked) == 1


def test_a_store_that_raises_is_named():
    async def ask():
        return await Readiness({"record store": nothing, "object store": lambda: 1 / 0}).fault()

    assert asyncio.run(ask()) == "the object store takes no writes: ZeroDivisionError"


def test_a_store_that_hangs_is_named_and_takes_one_thread(monkeypatch):
    monkeypatch.setattr(readiness, "ANSWERS_WITHIN_S", 0.05)
    monkeypatch.setattr(readiness, "FRESH_FOR_S", 0.0)
    go_on, asked = threading.Event(), []

    def hang():
        asked.append(1)
        go_on.wait(10)

    async def ask():
        ready = Readiness({"record store": hang, "object store": nothing})
        faults = [await ready.fault() for _ in range(3)]
        go_on.set()
        return faults

    assert asyncio.run(ask()) == ["the record store does not answer within 0.05 s"] * 3
    assert len(asked) == 1
