"""Acknowledged records survive."""

import os
import signal

from jobs.records import Records
from jobs.valkey import Valkey
from tests.jobs.records.samples import queued


def test_records_survive_a_kill_of_the_server(tmp_path):
    server = Valkey(tmp_path)
    job = queued(Records(server.url))
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    again = Valkey(tmp_path)
    try:
        assert Records(again.url).job(job.id) == job
    finally:
        again.stop()
