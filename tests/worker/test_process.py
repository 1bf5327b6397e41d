"""A job's process has limits and an environment of its own."""

import json
import os

from worker.process import SANDBOX, Limits, environment, pools, sandboxed


def test_processor_time_is_that_of_all_cores():
    assert Limits(1, 10.0, threads=1, disk=1).cpu_s == 10 * os.cpu_count() + 1


def test_the_command_states_its_bounds(tmp_path):
    limits = Limits(memory=5, timeout_s=1.0, threads=1, disk=7, isolation=("a", "b"))
    *words, bounds, _, run, it = sandboxed(("run", "it"), tmp_path, limits)
    assert tuple(words) == SANDBOX
    assert (run, it) == ("run", "it")
    assert json.loads(bounds) == {
        "folder": str(tmp_path), "memory": 5, "cpu": limits.cpu_s, "disk": 7, "user": None, "in_memory": False,
        "parts": ["a", "b"],
    }  # fmt: skip


def test_libraries_keep_to_their_threads_and_secrets_stay_out(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    variables = pools(3) | environment(tmp_path)
    assert variables["OMP_NUM_THREADS"] == "3"
    assert variables["TMPDIR"] == str(tmp_path / "tmp")
    assert "secret" not in variables.values()
