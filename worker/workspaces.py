"""The folders of jobs, below one that their worker has locked: the next worker removes those of a killed worker."""

import contextlib
import fcntl
import math
import os
import tempfile
import time
from pathlib import Path
from typing import IO

from worker.mounts import WRITABLE
from worker.removal import remove_tree

PREFIX = "qd-worker-"
MAX_DEPTH = 64
"""The most levels of folders in a writable folder of a job."""
_REMOVED = " (deleted)"
_YOUNG_S = 60.0
"""A younger folder without a lock may belong to a worker that is about to lock it."""


class Workspaces:
    """The folders of one worker; `close` removes them all."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = (self._folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def new(self, user: int | None = None) -> Path:
        """Return a new folder for a job; a process of `user` may read it, and write to its writable folders."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        for name in WRITABLE:
            (folder / name).mkdir()
        if user is not None:
            self._folder.chmod(0o711)
            os.chown(folder, -1, user)
            folder.chmod(0o750)
            for name in WRITABLE:
                os.chown(folder / name, user, user)
        return folder

    def close(self) -> None:
        """Remove all folders."""
        remove_tree(self._folder)
        self._lock.close()


def bytes_written(folder: Path, pid: int) -> float:
    """Return the bytes on disk of a job's folder, and of files that process `pid` has removed but still opens or maps.

    Infinity, if folders cannot be looked into or are nested deeper than `MAX_DEPTH`: no library does that.
    """
    used = sum(_bytes_below(str(folder / top)) for top in WRITABLE)
    removed: dict[tuple[int, int], int] = {}
    with contextlib.suppress(OSError):  # the process has ended
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path).endswith(_REMOVED):
                    status = os.stat(entry.path)
                    removed[status.st_dev, status.st_ino] = status.st_blocks * 512
        for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
            if line.endswith(_REMOVED):
                removed |= _mapped(pid, line)
    return used + sum(removed.values())


def _mapped(pid: int, line: str) -> dict[tuple[int, int], int]:
    """Return the bytes on disk of a removed file by its device and number, from a line of the map of a process."""
    addresses, _, _, device, number, _ = line.split(maxsplit=5)
    start, end = (int(address, 16) for address in addresses.split("-"))
    try:
        status = os.stat(f"/proc/{pid}/map_files/{start:x}-{end:x}")
    except OSError:  # for root only: a lower bound
        major, minor = (int(part, 16) for part in device.split(":"))
        return {(os.makedev(major, minor), int(number)): end - start}
    return {(status.st_dev, status.st_ino): status.st_blocks * 512}


def _bytes_below(top: str) -> float:
    used, level = 0, [top]
    for _ in range(MAX_DEPTH):
        deeper = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        used += _size(entry.path)
                        deeper += [entry.path] if entry.is_dir(follow_symlinks=False) else []
            except (FileNotFoundError, NotADirectoryError):  # removed in the meantime
                continue
            except OSError:  # without permission, or with too long a path
                return math.inf
        if not deeper:
            return used
        level = deeper
    return math.inf


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_blocks * 512
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
