"""The worker in environments that lack parts of the sandbox: the rest of it holds, and is what the worker lists."""

import json
import os
import subprocess
import sys

import pytest

pyseccomp = pytest.importorskip("pyseccomp")
PRELUDE = """
import ctypes, errno, json, sys
import pyseccomp
libc = ctypes.CDLL(None)
def refuse(*names, error=errno.EPERM, arguments=()):
    libc.prctl(38, 1, 0, 0, 0)
    calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in names:
        calls.add_rule(pyseccomp.ERRNO(error), name, *arguments)
    calls.load()
def drop_capabilities():
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""
ENVIRONMENTS = {
    "root": ("", set()),
    "no_capabilities": ("drop_capabilities()", {"own_user"}),
    "docker": (
        "refuse('unshare', 'setns', 'mount', 'umount2', 'pivot_root', 'mount_setattr')",
        {"network_namespace", "mount_namespace", "pid_namespace", "sized_space", "own_user"},
    ),
    "kubernetes_restricted": (
        "refuse('unshare', 'setns', 'mount', 'umount2', 'pivot_root', 'mount_setattr'); drop_capabilities()",
        {"network_namespace", "mount_namespace", "pid_namespace", "sized_space", "own_user"},
    ),
    "no_mounts": ("refuse('mount')", {"mount_namespace", "sized_space", "own_user"}),
    "no_reports": (  # before Linux 5.0, and gVisor
        "refuse('seccomp', error=errno.EINVAL, arguments=[pyseccomp.Arg(1, pyseccomp.EQ, 8)])",
        {"refusals_reported"},
    ),
    "no_landlock": ("refuse('landlock_create_ruleset', error=errno.ENOSYS)", {"landlock"}),
}
"""Code that makes this environment, and the parts that may be missing there."""
PARTS = {
    "no_new_privileges", "network_namespace", "pid_namespace", "mount_namespace", "sized_space", "own_user", "landlock",
    "seccomp", "refusals_reported", "resource_limits",
}  # fmt: skip
ATTACKS = {
    "read": "open('/etc/passwd').read()",
    "environment": "open('/proc/{worker}/environ').read()",
    "write": "open('given', 'a')",
    "chmod": "os.chmod('..', 0)",
    "utime": "os.utime('.')",
    "fork": "os.fork()",
    "connect": "socket.create_connection(('127.0.0.1', 1), 2)",
    "kill": "os.kill({worker}, 9)",
    "maps": "mmap.mmap(-1, 4 << 30)",
}
WORKER = """
from pathlib import Path
from pytest import MonkeyPatch
from tests.worker import scripted
from worker.children import Children
children = Children(scripted.server(MonkeyPatch()), scripted.FORK_LIMITS)
code = '''
import json, mmap, os, socket
for name, attack in {attacks}.items():
    try:
        result = repr(eval(attack))[:20]
    except Exception as error:
        result = "refused"
    json.dump(result, open("out/" + name, "w"))
open("out/end", "w")
'''
with children.new() as child:
    (child.folder / "given").write_text("input")
    child.begin({{"code": code}})
    list(child)
    results = {{path.name: path.read_text() for path in (child.space / "out").iterdir()}}
    assert (child.folder / "given").read_text() == "input"
children.close()
print(json.dumps({{"isolation": children.isolation, "results": results}}))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make these environments")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_an_environment_lacks_is_not_listed_and_attacks_still_fail(tmp_path, environment):
    prelude, may_lack = ENVIRONMENTS[environment]
    attacks = {name: attack.format(worker=os.getpid()) for name, attack in ATTACKS.items()}
    code = f"{PRELUDE}\n{prelude}\n{WORKER.format(attacks=attacks)}"
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, timeout=120)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout.splitlines()[-1])
    listed = {part.split("_7")[0] if part.startswith("landlock") else part for part in answer["isolation"]}
    assert listed >= PARTS - may_lack
    assert not (listed & may_lack) - {"own_user"}
    assert {name for name, result in answer["results"].items() if name != "end" and result != '"refused"'} == set()
    assert set(answer["results"]) == {*ATTACKS, "end"}
    assert list(tmp_path.iterdir()) == []
