"""A job's process sees its folder and the code, and writes to a space of an exact size."""

import os
from dataclasses import replace

import pytest

from jobs.errors import WorkerOutOfDisk
from tests.worker.scripted import FORK_LIMITS, answers, says
from worker import children as children_module
from worker.children import Children

SIZE = 8 << 20
DEEP = """
import os
deep = os.open("tmp", os.O_RDONLY)
for _ in range(200):
    os.mkdir("n", dir_fd=deep)
    deep = os.open("n", os.O_RDONLY, dir_fd=deep)
for number in range(64):
    with open(os.open(str(number), os.O_WRONLY | os.O_CREAT, dir_fd=deep), "wb") as file:
        file.write(b"x" * (1 << 20))
"""
"""64 MB are written below 200 folders."""


@pytest.fixture
def small(own_place, server):
    started = Children(server, replace(FORK_LIMITS, disk=SIZE))
    yield started
    started.close()


def test_the_space_has_an_exact_size_at_any_depth(small):
    child = small.new()
    with child:
        child.begin({"code": DEEP})
        list(child)
        status = os.statvfs(child.space)
        assert status.f_blocks * status.f_frsize == SIZE
        assert isinstance(child.failure(), WorkerOutOfDisk)


def test_the_number_of_files_is_limited(small):
    code = "for n in range(100_000): open(f'tmp/{n}', 'w').close()"
    _, failure = answers(small.new(), code)
    assert isinstance(failure, WorkerOutOfDisk)


def test_artifacts_outlive_the_process_and_end_with_the_child(shared_children):
    with shared_children.new() as child:
        child.begin({"code": "open('out/x', 'w').write('y')"})
        list(child)
        child.kill()
        space = child.space
        assert (space / "out" / "x").read_text() == "y"
        assert not (child.folder / "out" / "x").exists()
    assert not (space / "out" / "x").exists()
    assert not child.folder.exists()


def test_a_process_sees_only_its_folder_and_the_code(shared_children):
    look = says("[os.path.exists(path) for path in ('/etc/passwd', '/home', '/var', '/proc/1', '/dev/mem', '/usr')]")
    messages, _ = answers(shared_children.new(), look)
    assert messages == [str([False] * 5 + [True])]


def test_no_descriptor_leads_out_of_the_mounts(shared_children):
    look = says("[os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in os.listdir('/proc/self/fd') if n != '3']")
    messages, _ = answers(shared_children.new(), look)
    assert messages == [str(["pipe", "pipe", "pipe"])]


def test_code_and_folder_are_read_only(shared_children):
    code = "import errno, os, quant; errors = []\nfor path in ('x', '/x', quant.__path__[0] + '/x'):\n"
    code += (
        "    try: os.open(path, os.O_CREAT | os.O_WRONLY)\n    except OSError as error: errors.append(error.errno)\n"
    )
    messages, _ = answers(shared_children.new(), code + says("set(errors) <= {errno.EROFS, errno.EACCES}, len(errors)"))
    assert messages == [str((True, 3))]


def test_without_memory_for_it_the_space_is_in_the_folder(own_place, server, monkeypatch):
    monkeypatch.setattr(children_module, "memory_of_machine", lambda: 1 << 20)
    started = Children(server, FORK_LIMITS)
    assert "sized_space" not in started.isolation
    assert "mount_namespace" in started.isolation
    with started.new() as child:
        child.begin({"code": "open('out/x', 'w').write('y')"})
        list(child)
        assert child.space == child.folder
        assert (child.folder / "out" / "x").read_text() == "y"
    started.close()
