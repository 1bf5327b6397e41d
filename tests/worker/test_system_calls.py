"""Calls that no job needs are refused and reported, and the job goes on; the calls of jobs are not touched."""

import ctypes

import pytest

from tests.worker.scripted import answers, says
from worker import system_calls
from worker.protocol import Logged

pyseccomp = pytest.importorskip("pyseccomp")
CALL = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); result = libc.{}; error = ctypes.get_errno(); "


def refusals(messages):
    return [message for message in messages if message.startswith("the sandbox refused")]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("chmod(b'..', 0)", "chmod"),
        ("fchmod(0, 0)", "fchmod"),
        ("chown(b'..', 1, 1)", "chown"),
        ("lchown(b'..', 1, 1)", "lchown"),
        ("utimensat(-100, b'..', None, 0)", "utimensat"),
        ("setxattr(b'..', b'user.x', b'', 0, 0)", "setxattr"),
        ("removexattr(b'..', b'user.x')", "removexattr"),
        ("prctl(1, 0, 0, 0, 0)", "prctl"),  # PR_SET_PDEATHSIG: to outlive the worker
        ("prctl(4, 1, 0, 0, 0)", "prctl"),  # PR_SET_DUMPABLE
        ("prctl(0x59616d61, -1, 0, 0, 0)", "prctl"),  # PR_SET_PTRACER
        ("inotify_init1(0)", "inotify_init1"),
        ("fanotify_init(0, 0)", "fanotify_init"),
        ("fcntl(0, 1024, 0)", "fcntl"),  # F_SETLEASE: to hold up the worker's open
        ("fcntl(0, 1026, 1)", "fcntl"),  # F_NOTIFY
        ("fcntl(0, 8, 1)", "fcntl"),  # F_SETOWN: to signal
        ("ioctl(0, 0x5412, b'x')", "ioctl"),  # TIOCSTI
        ("unshare(0x10000000)", "unshare"),
        ("fork()", "clone"),
        ("link(b'..', b'out/x')", "link"),
        ("shmget(0, 4096, 0o1600)", "shmget"),
        ("eventfd(0, 0)", "eventfd2"),
    ],
)
def test_a_call_that_no_job_needs_is_refused_and_reported_and_the_job_goes_on(shared_children, call, name):
    messages, failure = answers(shared_children.new(), CALL.format(call) + says("result, os.strerror(error)"))
    assert messages == [
        f"the sandbox refused the system call {name}, which no known job needs; the job goes on",
        str((-1, "Function not implemented")),
    ]
    assert "status 0" in failure.detail


def test_refused_calls_are_reported_by_name_and_not_for_ever(shared_children):
    code = "import ctypes; [ctypes.CDLL(None).chmod(b'..', 0) for _ in range(20_000)]; ctypes.CDLL(None).sync(); "
    messages, _ = answers(shared_children.new(), code + says("'end'"))
    assert len(refusals(messages)) == 1
    assert messages[-1] == "end"


def test_refusals_after_the_last_report_fail_at_once(shared_children, monkeypatch):
    monkeypatch.setattr("worker.supervision.MAX_REPORTED", 1)
    code = "import ctypes; ctypes.CDLL(None).sync(); "
    messages, _ = answers(shared_children.new(), code + CALL.format("chmod(b'..', 0)") + says("result, error"))
    assert messages[1:] == [str((-1, 38))]


def test_names_of_calls_are_those_of_this_machine():
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "inotify_init1")
    assert system_calls.name_of(number) == "inotify_init1"
    assert system_calls.name_of(99_999) == "99999"


@pytest.mark.parametrize("architecture", ["X86_64", "AARCH64"])
def test_the_list_has_a_program_for_each_processor(monkeypatch, architecture):
    other = getattr(pyseccomp.Arch, architecture)

    class Filter(pyseccomp.SyscallFilter):
        def __init__(self, otherwise):
            super().__init__(otherwise)
            if other != pyseccomp.system_arch():
                self.add_arch(other)
                self.remove_arch(pyseccomp.system_arch())

    monkeypatch.setattr(pyseccomp, "SyscallFilter", Filter)
    program = system_calls.allow_list.__wrapped__()
    assert len(program) // 8 > 100


def test_a_kernel_that_reports_nothing_still_refuses(monkeypatch):
    applied = []

    def apply(libc, program, flags):
        applied.append(flags)
        return -1 if flags else 0

    monkeypatch.setattr(system_calls, "_apply", apply)
    assert system_calls.load(ctypes.CDLL(None), execute=False) == (["seccomp"], None)
    assert applied == [0, system_calls._NEW_LISTENER, 0]


def test_a_message_of_a_refusal_is_one_of_the_log(shared_children):
    with shared_children.new() as child:
        child.begin({"code": "import os; os.chmod('.', 0)"})
        (line,) = [line for line in child if line is not None]
    assert isinstance(line, Logged)
    assert line.level == "warning"


def test_maps_beyond_the_limit_of_memory_are_refused(shared_children):
    code = "import mmap; maps = []\nwhile True: maps.append(mmap.mmap(-1, 64 << 20))"
    messages, failure = answers(shared_children.new(), code)
    assert messages == []
    assert "limit" in failure.detail
