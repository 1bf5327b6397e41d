"""What a fork server of the tests runs: the code that a job brings."""

import json
import sys
from pathlib import Path

from worker import forkserver

HERE = Path(__file__).parent


def load() -> None:
    pass


def main() -> int:
    exec(json.loads(sys.stdin.readline())["code"], {})  # noqa: S102 - it is in a sandbox
    return 0


def server(monkeypatch) -> forkserver.ForkServer:
    """One whose forks find this module."""
    monkeypatch.setattr(forkserver, "pools", lambda threads: {"PYTHONPATH": str(HERE)})
    return forkserver.ForkServer("scripted", threads=2)
