"""The folders of jobs, below one that their worker has locked: the next worker removes those of a killed worker."""

import contextlib
import fcntl
import math
import os
import tempfile
import time
from pathlib import Path
from typing import IO

from worker.removal import remove_tree

PREFIX = "qd-worker-"
WRITABLE = ("out", "tmp")
"""The writable subfolders of a job's folder; artifacts are collected from `out`."""
MAX_DEPTH = 64
"""The most levels of folders in a writable folder of a job."""
_YOUNG_S = 60.0
"""A younger folder without a lock may belong to a worker that is about to lock it."""


class Workspaces:
    """The folders of one worker; `close` removes them all."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = (self._folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def new(self) -> Path:
        """Return a new folder for a job."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        for name in WRITABLE:
            (folder / name).mkdir()
        return folder

    def close(self) -> None:
        """Remove all folders."""
        remove_tree(self._folder)
        self._lock.close()


def bytes_written(folder: Path, pid: int) -> float:
    """Return the bytes on disk of a job's folder, and of files that process `pid` has removed but still holds open.

    Infinity, if folders cannot be looked into or are nested deeper than `MAX_DEPTH`: no library does that.
    """
    used = sum(_bytes_below(str(folder / top)) for top in WRITABLE)
    with contextlib.suppress(OSError):  # the process has ended
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                used += _size(entry.path, follow=True) if os.readlink(entry.path).endswith(" (deleted)") else 0
    return used


def _bytes_below(top: str) -> float:
    used, level = 0, [top]
    for _ in range(MAX_DEPTH):
        deeper = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        used += _size(entry.path, follow=False)
                        deeper += [entry.path] if entry.is_dir(follow_symlinks=False) else []
            except (FileNotFoundError, NotADirectoryError):  # removed in the meantime
                continue
            except OSError:  # without permission, or with too long a path
                return math.inf
        if not deeper:
            return used
        level = deeper
    return math.inf


def _size(path: str, follow: bool) -> int:
    try:
        return os.stat(path, follow_symlinks=follow).st_blocks * 512
    except OSError:  # removed in the meantime
        return 0


def _sweep(top: Path) -> None:
    """Remove the folders of workers that have ended: their locks are released."""
    for folder in top.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _abandoned(folder):
                remove_tree(folder)


def _abandoned(folder: Path) -> bool:
    """Return True if no worker holds the folder."""
    path = folder / "lock"
    if not path.exists():
        return time.time() - folder.stat().st_mtime > _YOUNG_S
    lock: IO[str]
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
