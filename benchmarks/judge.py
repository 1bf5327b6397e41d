"""The judgement of one quantized file beside its float model, in this process.

    python -m benchmarks.judge MODEL QUANTIZED EVALUATION

prints the SQNR of the main and of the worst output, the task's metric, and the latency as a fraction of the float
model's: the processor time of one sample with one thread, the median of runs that alternate.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import child
from benchmarks.tasks import METRICS, task_of
from quant.data.dataset import Dataset
from quant.data.read import read_dataset
from quant.evaluation.metrics import OutputComparison
from quant.graph.load.onnx_file import load
from quant.runtime import Feeds, Session

SLICE_S = 1.5
"""The seconds for which the runs of both models alternate."""
LEAST_RUNS, MOST_RUNS = 7, 300


def judge(model: Path, quantized: Path, evaluation: Path) -> dict[str, Any]:
    """Return the figures of a quantized file on evaluation samples."""
    data = read_dataset(evaluation, load(model))
    sessions = tuple(Session(path, threads=1) for path in (model, quantized))
    task = task_of(model.stem, labelled=data.labels is not None)
    main = sessions[0].outputs.index(task.output) if task.output else 0
    comparison = OutputComparison(sessions[0].outputs, data.used)
    mains: tuple[list[NDArray[Any]], list[NDArray[Any]]] = [], []
    for feeds in data.batches():
        outputs = [session.run(feeds, sessions[0].outputs) for session in sessions]
        comparison.add(*outputs, None)
        for values, side in zip(mains, outputs, strict=True):
            values.append(side[main])
    float_metric, metric = METRICS[task.metric](*mains, _labels(data))
    worst = comparison.worst
    return {
        "sqnr_db": comparison.errors[main].sqnr_db,
        "worst_db": None if worst is None else worst.sqnr_db,
        "metric": task.metric,
        "metric_float": float_metric,
        "metric_value": metric,
        **latency(sessions, next(data.singly().batches())),
    }


def _labels(data: Dataset) -> NDArray[np.int64] | None:
    return None if data.labels is None else data.labels[: data.used]


def latency(sessions: tuple[Session, ...], feeds: Feeds) -> dict[str, float]:
    """Return the median latency of the float model in milliseconds, and the other's as a fraction of it."""
    times: tuple[list[float], ...] = [], []
    begun = time.perf_counter()
    while len(times[0]) < LEAST_RUNS or (len(times[0]) < MOST_RUNS and time.perf_counter() - begun < SLICE_S):
        for session, seconds in zip(sessions, times, strict=True):
            start = time.thread_time()
            session.run(feeds)
            seconds.append(time.thread_time() - start)
    float_s, quantized_s = (float(np.median(seconds[2:])) for seconds in times)
    return {"float_ms": 1000 * float_s, "latency_ratio": quantized_s / float_s}


def main() -> None:
    child.answer(judge(*map(Path, sys.argv[1:])))


if __name__ == "__main__":
    main()
