"""A run of the quantizer on this machine."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from quantd.errors import JobFailed
from quantd.local import LocalJob
from tests.specs import QUICK

CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def test_a_process_that_is_killed_is_a_failed_job(examples, tmp_path):
    before = set(CHILDREN.read_text().split())

    def kill():
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (started := set(CHILDREN.read_text().split()) - before):
            time.sleep(0.05)
        os.kill(int(started.pop()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JobFailed, match="exit status -9 and without a result"):
        LocalJob(examples / "digits.onnx", QUICK, None, None, tmp_path).run(quiet=True)
    killer.join()
