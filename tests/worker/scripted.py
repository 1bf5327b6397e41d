"""The entry module of the tests' fork server: it runs the code that a job contains."""

import json
import sys
from pathlib import Path

from worker import forkserver
from worker.process import Limits

HERE = Path(__file__).parent
FORK_LIMITS = Limits(memory=1 << 30, timeout_s=20, threads=2, disk=1 << 30)


def load() -> None:
    pass


def main() -> int:
    exec(json.loads(sys.stdin.readline())["code"], {})  # noqa: S102 - it is in a sandbox
    return 0


def server(monkeypatch, entry: str = "scripted") -> forkserver.ForkServer:
    """Return a fork server whose forks find this module and run the module `entry`."""
    monkeypatch.setattr(forkserver, "pools", lambda threads: {"PYTHONPATH": str(HERE)})
    return forkserver.ForkServer(entry, threads=2)


def says(value: str) -> str:
    """Return code that reports the value of an expression."""
    event = f"{{'event': 'progress', 'stage': 'loading', 'done': 1, 'total': 1, 'message': str(({value}))}}"
    return f"import json, os; print(json.dumps({event}), flush=True)"


def answers(child, code):
    """Return the messages of a child that runs `code`, and its failure."""
    with child:
        child.begin({"code": code})
        return [line.message for line in child if line is not None], child.failure()
