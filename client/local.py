"""`quantd quantize --local`: the quantizer as a process of its own, without any service."""

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
        stored = out / "spec.json"
        stored.write_text(json.dumps(spec))
        self._command = [sys.executable, "-m", "quant", str(model), "--spec", str(stored), "--out", str(out)]
        for role, path in (("--calibration", calibration), ("--evaluation", evaluation)):
            if path is not None:
                self._command += [role, str(path)]
        for path in (model, calibration, evaluation):
            if path is not None and not path.is_file():
                raise ClientError(f"{path}: no such file")
        self.end: dict[str, Any] = {}

    def events(self) -> Iterator[dict[str, Any]]:
        """The progress events.

        Raises:
            JobFailed: the quantizer says why, or ended without a word.
            ClientError: the spec is not valid.
        """
        with subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "progress":
                    yield event
                else:
                    self.end = event
        if self.end.get("event") == "error":
            kind = ClientError if self.end["code"].startswith("spec.") else JobFailed
            raise kind(f"{self.end['code']}: {self.end['detail']}")
        if not self.end:
            raise JobFailed(f"the quantizer ended with status {process.returncode}")
