"""The sandbox of a job's process.

`python -m worker.sandbox FOLDER MEMORY CPU FILE_SIZE PARTS -- COMMAND` enters the sandbox and becomes COMMAND. Limits
are in bytes and seconds.

The command may read FOLDER and the installed code, and write to `out` and `tmp` below FOLDER. It cannot reach a
network, start or signal a process, or gain privileges. A kernel may not offer every part of this: the parts in effect
are in the variable QUANTD_SANDBOX, and are printed if there is no command. If one of PARTS is missing, the command does
not start.
"""

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from py_landlock import AccessFs, Landlock, LandlockDisabledError, LandlockNotAvailableError

from worker import system_calls

ENVIRONMENT = "QUANTD_SANDBOX"
THREADS, FILES = 1024, 512
"""The numbers of threads and open files of a job; threads of its user that run already are added."""
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
    "/proc/stat", "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/dev/urandom",
)  # fmt: skip
"""The paths that the C library, NumPy, ONNX Runtime and torch read besides their own files."""


def main() -> None:
    """Enter the sandbox and become the command."""
    parser = argparse.ArgumentParser(prog="python -m worker.sandbox")
    parser.add_argument("folder", type=Path)
    for limit in ("memory", "cpu", "file_size"):
        parser.add_argument(limit, type=int)
    parser.add_argument("parts", type=str.split)
    parser.add_argument("--socket", type=int, help="the descriptor of the socket to the worker")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    limits = (arguments.memory, arguments.cpu, arguments.file_size)
    in_effect = enter(arguments.folder, *limits, arguments.socket, execute=True)
    require(arguments.parts, in_effect)
    if not arguments.command:
        sys.stdout.write(" ".join(in_effect))
        return
    os.environ[ENVIRONMENT] = " ".join(in_effect)
    os.execv(arguments.command[0], arguments.command)


def enter(
    folder: Path, memory: int, cpu: int, file_size: int, to_worker: int | None, execute: bool = False
) -> list[str]:
    """Enter the sandbox and the folder for good, and return the names of the parts in effect.

    The descriptor of refused system calls is sent through the socket `to_worker`, which is then closed. `execute`
    permits the process to become a command.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    threads = _threads_of_user() + THREADS
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(folder)  # from here on the process dies with its worker, wherever it is stopped
    in_effect = ["no_new_privileges", *_leave_network(libc), *_restrict_files(folder)]
    _drop_capabilities(libc)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_NPROC, threads),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    worker = None if to_worker is None else socket.socket(fileno=to_worker)  # asks what the filter does not permit
    filters, listener = system_calls.load(libc, execute)
    _send_to_worker(worker, {"listener": listener})
    return [*in_effect, *filters, "resource_limits"]


def require(parts: Sequence[str], in_effect: Sequence[str]) -> None:
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


def _leave_network(libc: ctypes.CDLL) -> list[str]:
    """Enter a network namespace without a usable interface; without privileges, by way of a user namespace."""
    new = _CLONE_NEWNET | _CLONE_NEWIPC
    return ["network_namespace"] if libc.unshare(new) == 0 or libc.unshare(new | _CLONE_NEWUSER) == 0 else []


def _restrict_files(folder: Path) -> list[str]:
    """Permit reading the folder and the code, and writing to `out` and `tmp`; forbid links and every other path."""
    read = AccessFs.READ_FILE | AccessFs.READ_DIR
    write = AccessFs.WRITE_FILE | AccessFs.TRUNCATE | AccessFs.MAKE_REG | AccessFs.MAKE_DIR
    remove = AccessFs.REMOVE_FILE | AccessFs.REMOVE_DIR
    rules = Landlock(strict=False)
    try:
        version = int(rules.abi_version)
        rules.add_path_rule(folder, access=read)
        rules.add_path_rule(folder / "out", folder / "tmp", access=read | write | remove)
        for path in _code():
            of_folders = AccessFs.READ_DIR if path.is_dir() else AccessFs(0)
            rules.add_path_rule(path, access=AccessFs.READ_FILE | AccessFs.EXECUTE | of_folders)
        rules.add_path_rule("/dev/null", access=AccessFs.READ_FILE | AccessFs.WRITE_FILE)
        rules.apply()
    except (LandlockNotAvailableError, LandlockDisabledError):
        return []
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
