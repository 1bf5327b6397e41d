"""A local run of the quantizer in its own process, without a service (`quantd quantize --local`)."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from client.errors import ClientError, JobFailed


class LocalJob:
    """One run of `python -m quant`; iterate `events`, then read `end`."""

    def __init__(
        self, model: Path, spec: Mapping[str, Any], calibration: Path | None, evaluation: Path | None, out: Path
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        files = {"model": model, "calibration": calibration, "evaluation": evaluation, "out": out}
        paths = {role: str(path) for role, path in files.items() if path is not None}
        self._job = json.dumps({**paths, "name": model.name, "spec": spec})
        for path in (model, calibration, evaluation):
            if path is not None and not path.is_file():
                raise ClientError(f"{path}: no such file")
        self.end: dict[str, Any] = {}

    def events(self) -> Iterator[dict[str, Any]]:
        """Run the quantizer and yield its `progress` and `log` events.

        Raises:
            JobFailed: the quantizer reported an error or ended without a result.
            ClientError: the spec is not valid.
        """
        command = [sys.executable, "-m", "quant"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(self._job + "\n")
            process.stdin.close()
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] in ("progress", "log"):
                    yield event
                else:
                    self.end = event
        if self.end.get("event") == "error":
            kind = ClientError if self.end["code"].startswith("spec.") else JobFailed
            raise kind(f"{self.end['code']}: {self.end['detail']}")
        if not self.end:
            raise JobFailed(f"the quantizer ended with the exit status {process.returncode} and without a result")
