"""A local run of the quantizer in its own process, without a service (`quantd quantize --local`)."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from quantd import artifacts
from quantd.console import err_console
from quantd.errors import JobFailed, job_failure
from quantd.progress import show_progress
from quantd.signals import uninterrupted


class LocalJob:
    """One run of `python -m quant`: call `run`, then read `end`, its last event."""

    def __init__(
        self,
        model: Path,
        spec: Mapping[str, Any],
        calibration: Path | None,
        evaluation: Path | None,
        out: Path,
        task: str | None = None,
    ) -> None:
        """Describe the run; `task` is `plan` or `inspect`, None for a job."""
        files = {"model": model, "calibration": calibration, "evaluation": evaluation, "out": out}
        paths = {role: str(path) for role, path in files.items() if path is not None}
        named = {} if task is None else {"task": task}
        self._out = out
        self._job = json.dumps({**paths, **named, "name": model.name, "spec": spec})
        self.end: dict[str, Any] = {}

    def run(self, *, quiet: bool) -> None:
        """Run the quantizer and show its progress unless `quiet`.

        Its process ends with this call, however that ends. It runs in a session of its own, so that Ctrl-C does not
        reach it.

        Raises:
            JobFailed: the quantizer reported an error or ended without a result.
            ClientError: the spec is not valid.
        """
        with contextlib.closing(self._events()) as events:
            if quiet:
                collections.deque(events, maxlen=0)
            else:
                show_progress(err_console, events)

    def fill_report_page(self) -> None:
        """Complete the report's page by the parts that differ from run to run: all gates, and the latency."""
        from quant.outcome.gates import GateResult
        from quant.outcome.job_parts import JobFacts, fill_page
        from quant.outcome.latency import Latency

        gates = [GateResult.model_validate(gate) for gate in self.end["gates"]]
        latency = Latency.model_validate(self.end["latency"]) if self.end["latency"] else None
        page = self._out / artifacts.REPORT_PAGE
        page.write_bytes(fill_page(page.read_bytes(), JobFacts(gates, latency)))

    def _events(self) -> Generator[dict[str, Any], None, None]:
        """Run the quantizer and yield its `progress` and `log` events."""
        command = [sys.executable, "-m", "quant"]
        pipe = subprocess.PIPE
        with contextlib.ExitStack() as cleanup:
            with uninterrupted():
                process = cleanup.enter_context(
                    subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
                )
                cleanup.callback(_kill, process)
            yield from self._events_of(process)
        if self.end.get("event") == "error":
            raise job_failure(self.end)
        if not self.end:
            raise JobFailed(f"the quantizer ended with the exit status {process.returncode} and without a result")

    def _events_of(self, process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a process that is killed first has not read the job
            process.stdin.write(self._job + "\n")
            process.stdin.close()
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] in ("progress", "log"):
                yield event
            else:
                self.end = event
        process.wait()


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process and what it started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
