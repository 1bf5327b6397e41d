"""The files that a job's process sees: its folder and the code, read-only, and a writable space.

A space with a size is a file system in memory, so that the size is exact. The worker keeps a descriptor of it: so it
reads the artifacts when the process and its mounts are gone, and everything is removed when it closes the descriptor.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

WRITABLE = ("out", "tmp")
"""The writable subfolders of a job's folder; artifacts are collected from `out`."""
MAX_FILES = 1 << 16
"""The number of files and folders in the writable space: each takes about a kilobyte of the kernel's memory."""
DEVICES = ("/dev/null", "/dev/urandom")
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXECUTE = 1, 2, 4, 8
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_DETACH = 2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace"))


class Mounts:
    """The mounts of the calling process, which is in a mount namespace of its own.

    All methods raise OSError if the kernel refuses.
    """

    def __init__(self, libc: ctypes.CDLL) -> None:
        self._libc = libc

    def enter(self, folder: Path, code: Sequence[Path], size: int | None, user: int | None) -> int | None:
        """Replace the root by one that holds only the folder, the code and the writable space.

        Args:
            folder: the job's folder.
            code: the files and folders that the process may read.
            size: the size of the writable space in bytes, or None to write to the folder itself.
            user: the owner of the writable space, or None for the caller.

        Returns:
            A descriptor of a space with a size, which has the folders `WRITABLE`.
        """
        self._mount(None, "/", None, _PRIVATE | _RECURSIVE)
        opened = {name: os.open(folder / name, os.O_PATH) for name in WRITABLE}  # the new root hides one
        root = folder / WRITABLE[-1]  # a mount point; the same folder is mounted inside without this mount
        self._mount("root", root, "tmpfs", _NO_SUID | _NO_DEVICES, "size=1m,mode=755")
        self._bind(folder, root)
        for path in code:
            if str(path) not in DEVICES:  # below: mounts of code have none
                self._bind(path, root, _RECURSIVE)
        for device in DEVICES:
            (root / device[1:]).parent.mkdir(exist_ok=True)
            (root / device[1:]).touch()
        (root / "space").mkdir()
        self._lock(root)
        for device in DEVICES:
            self._mount(device, root / device[1:], None, _BIND)
        space = None if size is None else self._make_space(root / "space", size, user)
        for name in WRITABLE:
            writable = f"/proc/self/fd/{opened[name]}" if size is None else root / "space" / name
            self._mount(writable, root / str(folder)[1:] / name, None, _BIND)
            os.close(opened[name])  # from it, a process could go up to the old root
        if size is not None:
            self._check(self._libc.umount2(bytes(root / "space"), _DETACH))
        os.chdir(root)
        self._check(self._libc.pivot_root(b".", b"."))
        self._check(self._libc.umount2(b".", _DETACH))
        os.chdir(folder)
        return space

    def _make_space(self, path: Path, size: int, user: int | None) -> int:
        flags = _NO_SUID | _NO_DEVICES | _NO_EXECUTE
        self._mount("space", path, "tmpfs", flags, f"size={size},nr_inodes={MAX_FILES},mode=755")
        for name in WRITABLE:
            (path / name).mkdir(mode=0o700)
            if user is not None:
                os.chown(path / name, user, user)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def _bind(self, path: Path, root: Path, flags: int = 0) -> None:
        """Show a file or a folder at the same path below `root`."""
        target = root / str(path)[1:]
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        self._mount(path, target, None, _BIND | flags)

    def _lock(self, root: Path) -> None:
        """Make all mounts below `root` read-only, without devices and without programs that change the user."""
        attributes = _Attributes(set=_READ_ONLY | _NO_SUID | _NO_DEVICES)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        self._check(
            self._libc.syscall(
                _MOUNT_SETATTR, _AT_FDCWD, bytes(root), _AT_RECURSIVE, ctypes.byref(attributes), size
            )
        )  # fmt: skip

    def _mount(
        self, source: str | Path | None, target: str | Path, kind: str | None, flags: int, options: str = ""
    ) -> None:
        words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
        self._check(self._libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)))

    def _check(self, result: int) -> None:
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
