"""The system calls of a job's process: an allow-list.

The list comes from traces of all kinds of jobs (`python -m benchmarks.system_calls`). Any other call fails with ENOSYS,
as on a kernel that lacks it: libraries have a second way then, and a job goes on. The kernel tells the worker of each
such call (`worker.supervision`), which logs it. So a library that needs a new call shows itself, and so does an attack.
"""

import ctypes
import functools
import os
from errno import ENOSYS, EPERM

try:
    import pyseccomp
except RuntimeError:  # the system has no libseccomp
    pyseccomp = None

ALLOWED = (
    # traced in jobs
    "brk", "clock_gettime", "close", "dup2", "exit", "exit_group", "fstat", "futex", "getcwd", "getdents64", "getpid",
    "getrandom", "gettid", "lseek", "madvise", "mkdir", "mmap", "mprotect", "munmap", "newfstatat", "openat", "read",
    "rmdir", "rseq", "rt_sigaction", "rt_sigprocmask", "sched_getaffinity", "sched_setaffinity", "set_robust_list",
    "unlink", "unlinkat", "write", "writev",
    "sendmsg",  # the sandbox's descriptors to the worker; a job has no socket
    "kill", "tgkill",  # of its own process only: see `load`
    # the same work in other versions of the libraries, under load, or on other processors
    "access", "clock_getres", "clock_nanosleep", "copy_file_range", "dup", "dup3", "faccessat", "faccessat2",
    "fadvise64", "fallocate", "fdatasync", "fstatfs", "fsync", "ftruncate", "getcpu", "getegid", "geteuid", "getgid",
    "getpgid", "getpgrp", "getppid", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "gettimeofday",
    "getuid", "lstat", "membarrier", "mkdirat", "mremap", "nanosleep", "open", "poll", "ppoll", "pread64", "preadv",
    "pwrite64", "pwritev", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2", "restart_syscall",
    "rt_sigreturn", "sched_yield", "sendfile", "setrlimit", "sigaltstack", "stat", "statfs", "statx", "sysinfo",
    "time", "times", "truncate", "uname",
)  # fmt: skip
START = ("execve", "set_tid_address")
"""The calls with which a process becomes a command."""
COMMANDS = {
    "ioctl": (1, (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)),  # TCGETS, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
    "fcntl": (1, (0, 1, 2, 3, 4, 5, 6, 7, 1030)),  # descriptors, flags, locks; no owner, lease or notification
    "prctl": (0, (15, 16, 0x53564D41)),  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA: not PR_SET_PDEATHSIG
    "prlimit64": (0, (0,)),  # of this process
    "arch_prctl": (
        0,
        (0x1002, 0x1021, 0x1022, 0x1023, 0x3001),
    ),  # base of threads; torch asks for matrix registers (AMX)
}
"""Calls that are allowed with a few commands: the number of the argument with the command, and its values."""
QUIETLY = {
    "clone3": ENOSYS,  # a filter cannot read its flags; the C library then calls `clone`
    "mbind": EPERM,  # an allocator asks for memory nearby; Docker's profile refuses it, too
}
"""Calls that honest libraries try and do without, and the errors that they get; nothing is reported."""
_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020080
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def load(libc: ctypes.CDLL, execute: bool) -> tuple[list[str], int | None]:
    """Filter the system calls of this thread and of its children for good.

    Args:
        libc: the C library, with `use_errno`.
        execute: permit `execve`.

    Returns:
        The parts of the sandbox in effect, and the descriptor from which the worker reads refused calls. Nothing is in
        effect without libseccomp or a kernel with filters, and there is no descriptor before Linux 5.0.
    """
    if pyseccomp is None or _apply(libc, _own_process(os.getpid()), 0) < 0:
        return [], None
    listener = _apply(libc, allow_list(execute), _NEW_LISTENER)
    if listener >= 0:
        return ["seccomp", "refusals_reported"], listener
    refused = _apply(libc, allow_list(execute, report=False), 0)
    return ([] if refused < 0 else ["seccomp"]), None


def name_of(number: int) -> str:
    """Return the name of a system call of this machine, or its number."""
    resolve = pyseccomp._libseccomp.seccomp_syscall_resolve_num_arch
    name = ctypes.cast(resolve(pyseccomp.Arch.NATIVE, number), ctypes.c_char_p).value
    return name.decode() if name else str(number)


@functools.cache
def allow_list(execute: bool = False, report: bool = True) -> bytes:
    """Return the program of the allow-list, as the kernel takes it; nothing without libseccomp.

    Args:
        execute: permit `execve`.
        report: ask the worker about other calls, instead of refusing them at once.
    """
    if pyseccomp is None:
        return b""
    otherwise = pyseccomp.NOTIFY if report else pyseccomp.ERRNO(ENOSYS)
    calls, argument = pyseccomp.SyscallFilter(otherwise), pyseccomp.Arg
    calls.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.ERRNO(ENOSYS))  # 32-bit calls of x86-64
    calls.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # search the numbers by halves
    for name in (*ALLOWED, *(START if execute else ())):
        calls.add_rule(pyseccomp.ALLOW, name)
    for name, error in QUIETLY.items():
        if (action := pyseccomp.ERRNO(error)) != otherwise:
            calls.add_rule(action, name)
    for name, (position, values) in COMMANDS.items():
        for value in values:
            calls.add_rule(pyseccomp.ALLOW, name, argument(position, pyseccomp.EQ, value))
    thread = argument(0, pyseccomp.MASKED_EQ, _CLONE_THREAD | _CLONE_NAMESPACES, _CLONE_THREAD)
    calls.add_rule(pyseccomp.ALLOW, "clone", thread)
    return _exported(calls)


def _own_process(pid: int) -> bytes:
    """Return a program that refuses to signal any process but `pid`."""
    calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in ("kill", "tgkill"):
        calls.add_rule(pyseccomp.ERRNO(EPERM), name, pyseccomp.Arg(0, pyseccomp.NE, pid))
    return _exported(calls)


def _exported(calls: "pyseccomp.SyscallFilter") -> bytes:
    with open(os.memfd_create("filter"), "w+b", buffering=0) as file:
        calls.export_bpf(file)
        file.seek(0)
        return file.read()


def _apply(libc: ctypes.CDLL, program: bytes, flags: int) -> int:
    """Add a filter; return a descriptor if `flags` ask for one, else 0, or -1 if the kernel refuses."""
    seccomp = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "seccomp")
    argument = _Program(len(program) // 8, program)
    return int(libc.syscall(seccomp, _SET_MODE_FILTER, flags, ctypes.byref(argument)))
