"""The namespaces of a job's process: a network, IPC objects, mounts and process ids of its own.

They need privileges, or a user namespace in which the process has them. Each that the kernel refuses is left out.
"""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

_NEW_USER, _NEW_PROCESSES = 0x10000000, 0x20000000
_PARTS = {
    "network_namespace": 0x40000000 | 0x08000000 | 0x04000000,  # with IPC objects and the name of the host
    "mount_namespace": 0x00020000,
    "pid_namespace": _NEW_PROCESSES,
}


def leave(libc: ctypes.CDLL) -> list[str]:
    """Enter new namespaces, and return the names of those in effect.

    The process ids are those of the next process that the caller forks, which is their init: with it, all of them end.
    """
    if libc.unshare(_PARTS["mount_namespace"]) != 0:
        user, group = os.geteuid(), os.getegid()
        libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: after a change of the user, its own /proc is not writable
        if libc.unshare(_NEW_USER) == 0:
            _map_to_itself(user, group)
    return [name for name, flags in _PARTS.items() if libc.unshare(flags) == 0]


def _map_to_itself(user: int, group: int) -> None:
    """Map the caller's user and group in its new user namespace: files of an unknown user cannot be made."""
    with suppress(OSError):  # then the mounts fail
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def run_inside(libc: ctypes.CDLL) -> None:
    """Fork the init of the new process ids and return in it; this process ends as the init does."""
    child = os.fork()
    libc.prctl(
        1, signal.SIGKILL, 0, 0, 0
    )  # PR_SET_PDEATHSIG: the init ends with this process, and this one with its own
    if child == 0:
        return
    os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # who reads from the init waits for it alone
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)
