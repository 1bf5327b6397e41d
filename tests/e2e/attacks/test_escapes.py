"""Code in a job's process, past all parsers, attacks its worker: the worker's next job still succeeds."""

import os

import pytest

from tests.e2e.attacks import models

HARM = {
    "modes": "os.chmod('..', 0)",
    "modes_of_the_folder": "os.chmod('.', 0)",
    "times": "os.utime('..', (0, 0))",
    "names": "os.rename('out', 'elsewhere')",
    "removal": "__import__('shutil').rmtree('out')",
    "a_file_instead_of_a_folder": "__import__('shutil').rmtree('out'); open('out', 'w').close()",
    "signals": "os.kill(-1, 9); os.kill(1, 9); os.killpg(0, 9)",
    "flood_of_errors": "[os.write(2, b'x' * 65536) for _ in range(3000)]",
    "nested_folders": "here = os.open('tmp', 0)\nfor _ in range(3000): os.mkdir('n', dir_fd=here); "
    "there = os.open('n', 0, dir_fd=here); os.close(here); here = there",
    "all_of_the_disk": "open('tmp/x', 'wb').write(b'x' * (60 << 20)); open('out/x', 'wb').write(b'x' * (60 << 20))",
    "locks": "import fcntl; [fcntl.flock(os.open(path, 0), fcntl.LOCK_EX) for path in ('model', 'out')]",
    "leases": "import fcntl; fcntl.fcntl(os.open('model', 0), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
    "watches": "import ctypes; assert ctypes.CDLL(None).inotify_init1(0) == -1",
    "flood_of_refused_calls": "import ctypes; [ctypes.CDLL(None).sync() for _ in range(100_000)]",
}


@pytest.mark.parametrize("harm", HARM)
def test_a_hostile_process_harms_no_later_job_and_leaves_nothing(run_code, run_job, children, harm):
    before = set(os.listdir(children._workspaces._folder))
    run_code(f"import os\nopen('out/first', 'w')\n{HARM[harm]}", model=b"given")
    assert set(os.listdir(children._workspaces._folder)) == before
    assert run_job(models.perceptron()).code is None
