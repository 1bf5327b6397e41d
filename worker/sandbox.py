"""The sandbox of a job's process.

`python -m worker.sandbox BOUNDS [-- COMMAND]` enters the sandbox and becomes COMMAND. `Bounds` describes the process as
JSON. Without a command it prints the parts in effect.

The process may read its folder and the installed code, and write to `out` and `tmp` below its folder. It cannot reach a
network, see, start or signal a process, or gain privileges. A kernel may not offer every part of this: the parts in
effect are in the variable QUANTD_SANDBOX. If a required part is missing, the command does not start.
"""

import argparse
import contextlib
import ctypes
import functools
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from py_landlock import AccessFs, Landlock, LandlockDisabledError, LandlockNotAvailableError

from worker import namespaces, system_calls
from worker.mounts import WRITABLE, Mounts

ENVIRONMENT = "QUANTD_SANDBOX"
OWN_USER = "own_user"
THREADS, FILES = 1024, 512
"""The numbers of threads and open files of a job; threads of its user that run already are added."""
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
    "/proc/stat", "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/dev/urandom",
)  # fmt: skip
"""The paths that the C library, NumPy, ONNX Runtime and torch read besides their own files."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of a job's process.

    `memory` is the size of its address space and `disk` that of its writable space and of a file, in bytes; `cpu` is
    processor time in seconds. `user` is the user that a worker leaves root for. With `in_memory` the writable space is
    a file system in memory. `parts` are the required parts of the sandbox.
    """

    folder: str
    memory: int
    cpu: int
    disk: int
    user: int | None = None
    in_memory: bool = False
    parts: Sequence[str] = ()


def main() -> None:
    """Enter the sandbox and become the command."""
    parser = argparse.ArgumentParser(prog="python -m worker.sandbox")
    parser.add_argument("bounds", type=json.loads)
    parser.add_argument("--socket", type=int, help="the descriptor of the socket to the worker")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    left = namespaces.leave(libc)
    if "pid_namespace" in left:
        namespaces.run_inside(libc)
    in_effect = enter(Bounds(**arguments.bounds), left, arguments.socket, execute=True)
    if not arguments.command:
        sys.stdout.write(" ".join(in_effect))
        return
    os.environ[ENVIRONMENT] = " ".join(in_effect)
    os.execv(arguments.command[0], arguments.command)


def enter(bounds: Bounds, left: Sequence[str], to_worker: int | None, execute: bool = False) -> list[str]:
    """Enter the sandbox and the folder for good, and return the names of the parts in effect.

    Args:
        bounds: the bounds of the process.
        left: the namespaces that the process has of its own.
        to_worker: a socket. The descriptors of refused system calls and of the writable space are sent through it. Then
            it is closed.
        execute: permit the process to become a command.

    Raises:
        RuntimeError: a required part is missing.
    """
    libc, folder = ctypes.CDLL(None, use_errno=True), Path(bounds.folder)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(folder)  # from here on the process dies with its worker, wherever it is stopped
    prepare()
    code = _code()
    mounted, space = _mount(libc, bounds, left, code)
    user = _become(bounds.user, code)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # the kernel forgets it when the user changes
    limits = (
        (resource.RLIMIT_AS, bounds.memory),
        (resource.RLIMIT_CPU, bounds.cpu),
        (resource.RLIMIT_FSIZE, bounds.disk),
        (resource.RLIMIT_NPROC, THREADS + (0 if user else _threads_of_user())),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    )
    files = _restrict_files(folder, code)
    _drop_capabilities(libc)
    for limit, value in limits:
        resource.setrlimit(limit, (value, value))
    worker = None if to_worker is None else socket.socket(fileno=to_worker)  # asks what the filter does not permit
    filters, listener = system_calls.load(libc, execute)
    _send_to_worker(worker, {"listener": listener, "space": space})
    others = [part for part in left if part != "mount_namespace"]
    parts = ["no_new_privileges", *others, *mounted, *user, *files, *filters, "resource_limits"]
    _require(bounds.parts, parts)
    return parts


def _require(parts: Sequence[str], in_effect: Sequence[str]) -> None:
    """Check that all required parts of the sandbox are in effect.

    Raises:
        RuntimeError: a part is missing.
    """
    if missing := set(parts) - set(in_effect):
        raise RuntimeError(
            f"the sandbox is incomplete: {', '.join(sorted(missing))} cannot be enabled; the job does not start"
        )


def _threads_of_user() -> int:
    """Return the number of threads of this user: outside of a user namespace, RLIMIT_NPROC counts all of them."""
    count = 0
    for process in os.scandir("/proc"):
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                if process.stat().st_uid == os.getuid():
                    count += len(os.listdir(f"/proc/{process.name}/task"))
    return count


def prepare() -> None:
    """Do once what is the same for all processes, and what the sandbox itself would not permit."""
    landlock_version()
    system_calls.allow_list()


@functools.cache
def landlock_version() -> int | None:
    """Return the kernel's version of Landlock, or None without Landlock; the package searches the C library for it."""
    with contextlib.suppress(LandlockNotAvailableError, LandlockDisabledError):
        return int(Landlock(strict=False).abi_version)
    return None


def _mount(
    libc: ctypes.CDLL, bounds: Bounds, left: Sequence[str], code: Sequence[Path]
) -> tuple[list[str], int | None]:
    """Enter the job's own mounts; return the parts in effect, and a descriptor of a writable space in memory."""
    if "mount_namespace" not in left:
        return [], None
    user = bounds.user if os.geteuid() == 0 else None
    size = bounds.disk if bounds.in_memory else None
    try:
        space = Mounts(libc).enter(Path(bounds.folder), code, size, user)
    except OSError:
        return [], None
    return ["mount_namespace", *(["sized_space"] if space is not None else [])], space


def _become(user: int | None, code: Sequence[Path]) -> list[str]:
    """Leave root for a user that can read the code; a worker that is not root keeps its user."""
    if user is None or os.geteuid() != 0:
        return []
    with contextlib.suppress(OSError):
        os.seteuid(user)
        readable = all(os.access(path, os.R_OK, effective_ids=True) for path in code)
        os.seteuid(0)
        if readable:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            return [OWN_USER]
    return []


def _restrict_files(folder: Path, code: Sequence[Path]) -> list[str]:
    """Permit reading the folder and the code, and writing to `out` and `tmp`; forbid links and every other path."""
    read = AccessFs.READ_FILE | AccessFs.READ_DIR
    write = AccessFs.WRITE_FILE | AccessFs.TRUNCATE | AccessFs.MAKE_REG | AccessFs.MAKE_DIR
    remove = AccessFs.REMOVE_FILE | AccessFs.REMOVE_DIR
    if (version := landlock_version()) is None:
        return []
    rules = Landlock(strict=False)
    rules.add_path_rule(folder, access=read)
    rules.add_path_rule(*(folder / name for name in WRITABLE), access=read | write | remove)
    for path in code:
        of_folders = AccessFs.READ_DIR if path.is_dir() else AccessFs(0)
        rules.add_path_rule(path, access=AccessFs.READ_FILE | AccessFs.EXECUTE | of_folders)
    rules.add_path_rule("/dev/null", access=AccessFs.READ_FILE | AccessFs.WRITE_FILE)
    rules.apply()
    return [f"landlock_{version}"]


def _code() -> list[Path]:
    """Return the paths of the interpreter, the libraries and the quantizer, without the rest of a checkout."""
    paths = {*_SYSTEM, sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)}
    package = find_spec("quant")
    paths.update(package.submodule_search_locations or [] if package else [])
    return [Path(path) for path in sorted(paths) if os.path.exists(path)]


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop all capabilities, so that the children of a worker that runs as root have no privileges."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())


def _send_to_worker(worker: socket.socket | None, descriptors: Mapping[str, int | None]) -> None:
    """Send the open descriptors with their names, and close them and the socket."""
    opened = {name: descriptor for name, descriptor in descriptors.items() if descriptor is not None}
    if worker is not None:
        with worker:
            socket.send_fds(worker, [" ".join(opened).encode()], list(opened.values()))
    for descriptor in opened.values():
        os.close(descriptor)


if __name__ == "__main__":
    main()
