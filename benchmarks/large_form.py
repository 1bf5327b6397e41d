"""The gateway's memory while a form with a large model is sent to `POST /v1/quantize`.

    python benchmarks/large_form.py [--gibibytes 4] [--memory-mib 512] [--json FILE]

The gateway runs with a limit on its private memory (RLIMIT_DATA), which a form in memory would exceed. A form in a
temporary file would be written twice: to that file, and to the object store.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from jobs.stack import Stack

HEAD = b"\x08\x08"
"""The first bytes of an ONNX file, which are all that the gateway checks."""


def send_form(stack: Stack, model: Path) -> dict[str, Any]:
    """Return the job that curl submits with a form."""
    answer = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--header", "Expect:", "--form", f"model=@{model}",
         "--form", "preset=int8-weights", "--form", "tags={benchmark: large form}", f"{stack.url}/v1/quantize"],
        stdout=subprocess.PIPE, check=False,
    ).stdout  # fmt: skip
    answered: dict[str, Any] = json.loads(answer)
    return answered


def measure(stack: Stack, model: Path, memory: int) -> dict[str, Any]:
    """Return the figures of one form, with the gateway limited to `memory` bytes; the worker is stopped meanwhile."""
    pid = stack.pid("gateway")
    resource.prlimit(pid, resource.RLIMIT_DATA, (memory, memory))
    os.kill(stack.pid("worker"), signal.SIGSTOP)
    peak, written, begun = _peak_mib(pid), _written(pid), time.perf_counter()
    job = send_form(stack, model)
    seconds = time.perf_counter() - begun
    size = model.stat().st_size
    figures = {
        "form_mib": size >> 20, "memory_limit_mib": memory >> 20, "status": job["status"],
        "peak_mib": {"before": peak, "after": _peak_mib(pid)},
        "bytes_written_per_byte": round((_written(pid) - written) / size, 3),
        "mib_per_second": round((size >> 20) / seconds),
    }  # fmt: skip
    with httpx.Client(base_url=stack.url, timeout=60) as client:
        client.post(job["links"]["cancel"]).raise_for_status()
    os.kill(stack.pid("worker"), signal.SIGCONT)
    return figures


def _peak_mib(pid: int) -> int:
    return int(_field(f"/proc/{pid}/status", "VmHWM").split()[0]) >> 10


def _written(pid: int) -> int:
    """Return the bytes that a process has written to files."""
    return int(_field(f"/proc/{pid}/io", "wchar"))


def _field(path: str, name: str) -> str:
    lines = (line.partition(":") for line in Path(path).read_text().splitlines())
    return next(value.strip() for key, _, value in lines if key == name)


def main() -> int:
    """Run the benchmark and print its figures; return 1 if the form was not accepted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gibibytes", type=float, default=4)
    parser.add_argument("--memory-mib", type=int, default=512)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = int(options.gibibytes * (1 << 30))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.onnx")
        model.write_bytes(HEAD)
        os.truncate(model, size)  # the rest is a hole: it takes no space and is read as zeros
        with Stack(Path(folder, "state"), settings={"QUANTD_MAX_MODEL_BYTES": str(2 * size)}) as stack:
            figures = measure(stack, model, options.memory_mib << 20)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(figures["status"] != "queued")


if __name__ == "__main__":
    sys.exit(main())
