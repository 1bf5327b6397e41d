"""Processes of the embedded service: they end when their parent ends, even if it is killed."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOPS_WITHIN_S = 10.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def start(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in its own session, so that Ctrl-C reaches only the parent, which then stops it in order."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it if it still runs after `STOPS_WITHIN_S`."""
    process.terminate()
    try:
        process.wait(timeout=STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    """Make the kernel kill this process when its parent ends.

    A killed parent stops nothing itself, and a second server on the same append-only file would corrupt it.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
