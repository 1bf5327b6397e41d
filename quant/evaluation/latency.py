"""Latency of the float and the quantized model, measured in alternating runs in this process."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quant.errors import ExportError
from quant.evaluation.layer_times import LoadProfiled, time_layers
from quant.evaluation.timed_inputs import TimedInputs
from quant.outcome.latency import Latency, LayerTime, ModelTimings, Timing
from quant.runtime import Feeds, Session, processors

BUDGET_S = 1.0
"""The seconds after which nothing further is measured, and the longest run of a model that is measured, by default."""
SLICE_S = 0.06
"""The seconds for which the runs of one setting alternate."""
MIN_RUNS, MAX_RUNS = 3, 100
"""The runs of each model in one setting."""
FINE_S = 0.001
"""The largest step of a clock that can time single runs, in seconds."""
CLEARLY_SLOWER = 1.1
"""The ratio from which the quantized model counts as slower than the float model."""
LEAST_MS = 0.005
"""The least difference of two durations that counts, in milliseconds; the profiler counts in microseconds."""
NAMED_LAYERS = 5
"""The largest number of slow layers that a warning names."""


@dataclass(frozen=True)
class TimedModels:
    """Both models, as the measurement needs them.

    Attributes:
        reference: the uploaded model.
        load_normalised: loads the float model whose nodes have the layers' names.
        quantized: the bytes of the quantized model.
        layers: the name and the operator of the layer that a name in the profile belongs to.
    """

    reference: Path
    load_normalised: LoadProfiled
    quantized: bytes
    layers: Mapping[str, tuple[str, str]]


class _Clock:
    """The time since the start of a measurement. If `always` is True, the time is not limited."""

    def __init__(self, *, always: bool) -> None:
        self._started, self._always = time.perf_counter(), always

    @property
    def is_over(self) -> bool:
        """True if the measurement has taken as long as it may."""
        return not self._always and time.perf_counter() - self._started > BUDGET_S


def measure_latency(models: TimedModels, inputs: TimedInputs, *, always: bool) -> Latency:
    """Return the latency of both models, and of their layers.

    The first setting is one batch with one thread; then follow one sample with one thread, and both with all threads.
    The ratio and the time of layers are those of the first setting, since it is timed by the processor time of its
    thread. Where threads wait for each other, other processes on the machine may change durations more than
    quantization does.

    Args:
        models: the models.
        inputs: their inputs.
        always: measure every setting, however long it takes. Otherwise nothing is measured where a run of the float
            model takes longer than `BUDGET_S`, and no further setting after that time; the layers are then measured
            only where the quantized model is slower.

    Raises:
        ModelError: the float model does not run.
        ExportError: the quantized model does not run.
    """
    clock = _Clock(always=always)
    timings: list[tuple[Timing, Timing]] = []
    for threads in dict.fromkeys((1, processors())):
        if timings and clock.is_over:
            break
        sessions = _sessions(models, threads)
        if not timings and not always and _run(sessions[0], inputs.batch, time.perf_counter) > BUDGET_S:
            return Latency.unmeasured(
                f"one run of the float model takes longer than {BUDGET_S:g} s; measure: {{latency: true}} measures it"
            )
        timings.append(_time(sessions, inputs.batch, threads, inputs.samples))
        if inputs.single is not None and not clock.is_over:
            timings.append(_time(sessions, inputs.single, threads, 1))
        del sessions  # before the next pair is loaded: each holds the weights of both models
    result = _summarise(timings)
    return result if clock.is_over and not result.warnings else _with_layers(result, models, inputs.batch)


def latency_ratio(before: bytes, after: bytes, feeds: Feeds) -> float:
    """Return the median latency of the model `after`, as a fraction of that of `before`, with one thread.

    Raises:
        ExportError: a model does not run.
    """
    first, second = (Session(model, "the quantized model", ExportError, threads=1) for model in (before, after))
    before_s, after_s = _alternate(first, second, feeds, threads=1)
    return float(np.median(after_s) / np.median(before_s))


def is_slower(layer: LayerTime) -> bool:
    """Return True if a layer is slower quantized by a clear margin: a quarter of its time and `LEAST_MS`."""
    return layer.quantized_ms > max(1.25 * layer.float_ms, layer.float_ms + LEAST_MS)


def _sessions(models: TimedModels, threads: int) -> tuple[Session, Session]:
    """Load both models with a number of threads, as users do."""
    quantized = Session(models.quantized, "the quantized model", ExportError, threads=threads, spinning=True)
    return Session(models.reference, threads=threads, spinning=True), quantized


def _time(sessions: tuple[Session, Session], feeds: Feeds, threads: int, batch: int) -> tuple[Timing, Timing]:
    """Return the timings of the float and the quantized model in one setting."""
    before, after = _alternate(*sessions, feeds, threads)
    return _timing(before, threads, batch), _timing(after, threads, batch)


def _alternate(first: Session, second: Session, feeds: Feeds, threads: int) -> tuple[list[float], list[float]]:
    """Return the durations of alternating runs of two sessions in seconds, after a warm-up of each.

    The order changes from pair to pair, so that a drift of the machine's speed affects both models alike.
    """
    for session in (first, second):
        session.run(feeds)
    clock = _clock(threads)
    firsts: list[float] = []
    seconds: list[float] = []
    while len(firsts) < MIN_RUNS or (sum(firsts) + sum(seconds) < SLICE_S and len(firsts) < MAX_RUNS):
        pair = [(first, firsts), (second, seconds)]
        for session, durations in pair if len(firsts) % 2 else reversed(pair):
            durations.append(_run(session, feeds, clock))
    return firsts, seconds


def _run(session: Session, feeds: Feeds, clock: Callable[[], float]) -> float:
    """Return the duration of one run in seconds."""
    started = clock()
    session.run(feeds)
    return clock() - started


def _clock(threads: int) -> Callable[[], float]:
    """Return the clock that times a run: the thread's processor time with one thread, else elapsed time.

    Other processes on the machine do not lengthen the processor time of a thread. Some kernels count it in steps of
    milliseconds; there, elapsed time is used.
    """
    return time.thread_time if threads == 1 and _is_fine(time.thread_time) else time.perf_counter


def _is_fine(clock: Callable[[], float]) -> bool:
    """Return True if a clock advances within a millisecond, and by less than that."""
    started, first = time.perf_counter(), clock()
    while time.perf_counter() - started < FINE_S:
        step = clock() - first
        if step > 0:
            return step < FINE_S
    return False


def _timing(durations: Sequence[float], threads: int, batch: int) -> Timing:
    low, median, high = (1000 * float(value) for value in np.percentile(durations, (25, 50, 75)))
    return Timing(threads=threads, batch=batch, median_ms=median, quartiles_ms=(low, high), runs=len(durations))


def _summarise(timings: Sequence[tuple[Timing, Timing]]) -> Latency:
    """Return the latency with the ratio of the first setting, and a warning if the quantized model is slower there."""
    before, after = timings[0]
    ratio = after.median_ms / before.median_ms
    warnings: tuple[str, ...] = ()
    exceeds_noise = after.quartiles_ms[0] > before.quartiles_ms[1] and after.median_ms - before.median_ms > LEAST_MS
    if ratio > CLEARLY_SLOWER and exceeds_noise:
        warnings = (
            f"the quantized model takes {ratio:.2g} times as long as the float model ({after.median_ms:.3g} ms, float "
            f"{before.median_ms:.3g} ms; batch {after.batch}, one thread)",
        )
    pairs = ModelTimings(float=tuple(pair[0] for pair in timings), quantized=tuple(pair[1] for pair in timings))
    return Latency(**dict(pairs), ratio=ratio, warnings=warnings)


def _with_layers(result: Latency, models: TimedModels, feeds: Feeds) -> Latency:
    """Return the result with the time of the layers, the slow ones named in its warnings."""
    layers, other = time_layers(models.load_normalised, models.quantized, feeds, models.layers)
    warnings = tuple(warning + _slow_parts(layers, other) for warning in result.warnings)
    return result.model_copy(update={"layers": tuple(layers), "other": other, "warnings": warnings})


def _slow_parts(layers: Sequence[LayerTime], other: LayerTime) -> str:
    """Return the slow layers as the end of a warning, the slowest first; where there is none, the other nodes."""
    slow = sorted(filter(is_slower, layers), key=lambda layer: layer.float_ms - layer.quantized_ms)
    if not slow:
        return f"; nodes that belong to no layer: {_both(other)}" if is_slower(other) else ""
    named = ", ".join(f"{layer.name} ({_both(layer)})" for layer in slow[:NAMED_LAYERS])
    more = f" and {len(slow) - NAMED_LAYERS} more" if len(slow) > NAMED_LAYERS else ""
    return f"; slower than in float: {named}{more}"


def _both(layer: LayerTime) -> str:
    return f"{layer.quantized_ms:.3g} ms, float {layer.float_ms:.3g} ms"
