"""Measurements in processes of their own, on one processor.

A child is pinned to one processor, so that every library in it uses one thread, and prints its figures as JSON in the
last line of its output. Seconds are those of the processor: work of others on the machine does not count.

This module imports the standard library only, since peers run in another environment.
"""

import json
import os
import queue
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 1200
MEMORY_BYTES = 12 << 30
"""The memory that a child may allocate; some peers would take all of the machine's."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
WAITING = {"OPENBLAS_THREAD_TIMEOUT": "20"}
"""The setting of OpenBLAS that quant makes when it is imported before NumPy; here it applies to every tool."""
REASON_LENGTH = 160
PROCESSORS: queue.SimpleQueue[int] = queue.SimpleQueue()
"""The processors on which no child runs."""
for _number in sorted(os.sched_getaffinity(0)):
    PROCESSORS.put(_number)


def run_child(module: str, *arguments: object, python: Path = Path(sys.executable)) -> dict[str, Any]:
    """Run a module of `benchmarks` in a process of its own; return its figures, or `refused` with the reason."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), **WAITING}
    command = [str(python), "-m", module, *map(str, arguments)]
    processor = PROCESSORS.get()
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT, timeout=TIMEOUT_S,
            preexec_fn=lambda: limit(processor),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"refused": f"took longer than {TIMEOUT_S} s"}
    finally:
        PROCESSORS.put(processor)
    if process.returncode:
        return {"refused": reason(process.returncode, process.stderr)}
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return figures


def reason(status: int, errors: str) -> str:
    """Return the first line of the exception with which a process ended, without paths and addresses."""
    if status < 0:
        return f"the process was ended by signal {-status}"
    exceptions = re.findall(r"^[\w.]+: .+", errors, re.M)
    line = exceptions[-1] if exceptions else f"exit status {status}"
    return re.sub(r"(/[\w.+-]+){2,}(:\d+)?|0x[0-9a-f]+", "..", line)[:REASON_LENGTH]


def limit(processor: int) -> None:
    """Pin this process to one processor and limit its memory."""
    os.sched_setaffinity(0, {processor})
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def measured(run: Callable[[], object]) -> dict[str, float]:
    """Return the processor seconds of a call, and the peak memory of the process in megabytes."""
    begun = time.process_time()
    run()
    return {"seconds": time.process_time() - begun, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the peak memory of this process in megabytes; getrusage would include that of the parent."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def answer(figures: object) -> None:
    """Print the figures for the parent."""
    print(json.dumps(figures), flush=True)
