"""A TCP proxy in front of a store that passes bytes on, delays them, holds them back or cuts connections."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

CHUNK = 1 << 16
Result = TypeVar("Result")
Mode = Literal["pass", "slow", "hang", "cut"]


class Proxy:
    """A proxy at `port` on loopback; its target and its mode can be changed while it runs.

    A change of the target cuts the connections, as the address of a primary does that moves to another machine.

    Attributes:
        port: the port that clients connect to.
        delay_s: the seconds by which `slow` delays each piece of at most 64 KiB.
    """

    def __init__(self, target: int, delay_s: float = 0.5) -> None:
        self.delay_s = delay_s
        self._target = target
        self._mode: Mode = "pass"
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def point_at(self, target: int) -> None:
        """Send new connections to another port and cut the present ones."""
        self._target = target
        self._call(self._cut())

    def set_mode(self, mode: Mode) -> None:
        """Treat all connections in another mode from now on."""
        self._mode = mode
        if mode == "cut":
            self._call(self._cut())

    def close(self) -> None:
        """Cut all connections and stop."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._connect(reader, writer)
        except OSError:  # the target is away
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(onward_writer)
        try:
            await asyncio.gather(self._pass_on(reader, onward_writer), self._pass_on(onward_reader, writer))
        finally:
            self._writers.discard(onward_writer)
            onward_writer.close()
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self._mode == "slow":
                await asyncio.sleep(self.delay_s)
            while self._mode == "hang":
                await asyncio.sleep(0.02)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
