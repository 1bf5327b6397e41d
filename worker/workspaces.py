"""The folders that jobs work in, below one that the worker holds: what a killed worker left is swept by the next."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

PREFIX = "qd-worker-"
WRITABLE = ("out", "tmp")
"""Where a job may write, below its folder; `out` is what is looked at in the end."""
_YOUNG_S = 60.0


class Workspaces:
    """New folders on demand, until `close` removes them all."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = (self._folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def new(self) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        for name in WRITABLE:
            (folder / name).mkdir()
        return folder

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()


def bytes_written(folder: Path, pid: int) -> int:
    """Bytes on disk in a job's folder, with files that process `pid` has removed and still holds open."""
    used = 0
    for top in WRITABLE:
        for parent, _, names in os.walk(folder / top):
            used += sum(_size(os.path.join(parent, name), follow=False) for name in names)
    with contextlib.suppress(OSError):  # the process has ended
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                used += _size(entry.path, follow=True) if os.readlink(entry.path).endswith(" (deleted)") else 0
    return used


def _size(path: str, follow: bool) -> int:
    try:
        return os.stat(path, follow_symlinks=follow).st_blocks * 512
    except OSError:  # removed meanwhile
        return 0


def _sweep(top: Path) -> None:
    """Remove the folders whose worker is gone: the lock went with it."""
    for folder in top.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    path = folder / "lock"
    if not path.exists():  # its worker may be about to take it
        return time.time() - folder.stat().st_mtime > _YOUNG_S
    lock: IO[str]
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
