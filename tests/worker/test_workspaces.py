"""Folders of jobs are removed, by their worker or by the next one."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from worker.process import Limits
from worker.removal import remove_tree
from worker.workspaces import PREFIX, WRITABLE, Workspaces, bytes_written

LIMITS = Limits(memory=1 << 30, timeout_s=20, threads=2, disk=1 << 30)


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_folders_of_a_killed_worker_are_swept_and_those_of_a_live_one_stay(tmp_path):
    code = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; from worker.workspaces import Workspaces; "
    code += "spaces = Workspaces(); spaces.new(); print('ready', flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        (held,) = tmp_path.glob(f"{PREFIX}*")
        Workspaces().close()
        assert held.exists()
        other.kill()
        other.wait()
        Workspaces().close()
        assert not held.exists()


def test_a_new_folder_without_a_lock_is_not_swept(tmp_path):
    young = Path(tmp_path, f"{PREFIX}young")
    young.mkdir()
    Workspaces().close()
    assert young.exists()
    os.utime(young, (0, 0))
    Workspaces().close()
    assert not young.exists()


def test_a_new_folder_is_writable_in_its_subfolders():
    spaces = Workspaces()
    folder = spaces.new()
    assert {path.name for path in folder.iterdir()} == set(WRITABLE)
    spaces.close()
    assert not folder.exists()


def test_written_bytes_include_removed_files_that_are_open(tmp_path):
    for name in WRITABLE:
        (tmp_path / name).mkdir()
    others = bytes_written(tmp_path, os.getpid())  # removed files that pytest keeps open to capture output
    (tmp_path / "out" / "a").write_bytes(b"x" * 8192)
    with (tmp_path / "tmp" / "b").open("wb") as file:
        file.write(b"x" * 8192)
        file.flush()
        os.unlink(tmp_path / "tmp" / "b")
        assert bytes_written(tmp_path, os.getpid()) - others == 16384
    assert bytes_written(tmp_path, os.getpid()) - others == 8192


def nest(folder, depth):
    """Make `depth` folders in each other, as a process does that steps into each."""
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        for _ in range(depth):
            Path("n").mkdir()
            os.chdir("n")
    finally:
        os.fchdir(here)
        os.close(here)


def test_folders_that_nest_deeper_than_any_path_are_swept(tmp_path):
    left = tmp_path / f"{PREFIX}left"
    (left / "out").mkdir(parents=True)
    nest(left / "out", 3000)
    os.utime(left, (0, 0))
    Workspaces().close()
    assert not left.exists()


@pytest.mark.parametrize("depth", [70, 3000])
def test_bytes_in_folders_that_nest_deeply_are_over_every_limit(tmp_path, depth):
    for name in WRITABLE:
        (tmp_path / name).mkdir()
    nest(tmp_path / "tmp", depth)
    assert bytes_written(tmp_path, os.getpid()) == float("inf")
    remove_tree(tmp_path / "tmp")
    assert not (tmp_path / "tmp").exists()


def test_removal_takes_any_permissions_and_follows_no_link(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "a" / "link").symlink_to(outside, target_is_directory=True)
    (folder / "link").symlink_to(outside / "precious")
    os.mkfifo(folder / "a" / "pipe")
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    remove_tree(folder)
    assert (outside / "precious").exists()
    assert not folder.exists()


def test_removal_of_a_folder_that_is_a_link_or_absent_does_nothing(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "absent")
    assert (tmp_path / "real").exists()
