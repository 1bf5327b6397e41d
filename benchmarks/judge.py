"""The judgement of one quantized file beside its float model, in this process.

    python -m benchmarks.judge MODEL QUANTIZED EVALUATION

prints the SQNR of the main and of the worst output, the task's figure, and the latency as a fraction of the float
model's: the processor time of one sample with one thread, the median of runs that alternate.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import child
from quant.data.read import read_dataset
from quant.evaluation.compare import evaluate
from quant.evaluation.metrics import OutputComparison
from quant.graph.load.onnx_file import load
from quant.runtime import Feeds, Session
from quant.spec import resolve

METRICS: dict[str, list[dict[str, str]]] = {"swift_f0": [{"name": "regression", "output": "pitch"}]}
"""The metrics of networks for which quantd's rule does not choose the right ones."""
SLICE_S = 1.0
"""The seconds for which the runs of both models alternate."""
LEAST_RUNS, MOST_RUNS = 7, 300


def judge(model: Path, quantized: Path, evaluation: Path) -> dict[str, Any]:
    """Return the figures of a quantized file on evaluation samples."""
    data = read_dataset(evaluation, load(model))
    sessions = Session(model, threads=1), Session(quantized, threads=1)
    spec = resolve({"preset": "int8-weights", "evaluation": {"metrics": METRICS.get(model.stem)}})
    expected = (sessions[0].run(feeds) for feeds in data.batches())
    comparison = evaluate(expected, sessions[1], data, lambda *_: None, spec=spec, with_tasks=True)
    worst = comparison.worst
    return {
        **task_figure(comparison),
        "worst_db": None if worst is None else worst.sqnr_db,
        **latency(sessions, next(data.singly().batches())),
    }


def task_figure(comparison: OutputComparison) -> dict[str, Any]:
    """Return the SQNR of the main output, and the figure of its task for both models.

    The main output is the one of the first metric with a figure that is at best 1; without such a metric, the first
    output with floats. Its figure is then the accuracy of the classes, or the cosine.
    """
    figures = comparison.figures()
    values = comparison.tasks.values() if comparison.tasks is not None else ()
    value = next((each for each in values if each.figure.best == 1 and each.value is not None), None)
    names = [errors.name for errors in comparison.pooled]
    main = comparison.errors[list(comparison.names).index(value.output if value else names[0])]
    if value is not None:
        metric, before, after = value.figure.title, 1.0 if value.float_value is None else value.float_value, value.value
    elif figures.top1_float is not None and figures.top1_quantized is not None:
        metric, before, after = "Top-1 accuracy", figures.top1_float / 100, figures.top1_quantized / 100
    elif figures.top1_agreement is not None:
        metric, before, after = "Top-1 agreement", 1.0, figures.top1_agreement
    else:
        metric, before, after = "Cosine", 1.0, figures.output_cosine
    return {"sqnr_db": main.sqnr_db, "metric": metric, "metric_float": before, "metric_value": after}


def latency(sessions: tuple[Session, Session], feeds: Feeds) -> dict[str, float]:
    """Return the median latency of the float model in milliseconds, and the other's as a fraction of it."""
    times: tuple[list[float], list[float]] = [], []
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
