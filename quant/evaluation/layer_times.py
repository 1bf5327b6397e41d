"""Time by layer of the float and the quantized model, from ONNX Runtime's profiler."""

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from quant.errors import ExportError
from quant.outcome.latency import LayerTime
from quant.runtime import Feeds, NodeTime, Session

SLICE_S = 0.06
"""The seconds for which both models are profiled."""
MIN_RUNS, MAX_RUNS = 5, 50
"""The profiled runs of each model."""
LoadProfiled = Callable[[Path], Session]
"""Loads a model with one thread, and with a profile at the path."""
_ENDING = re.compile(r"(_|/)[^_/]*$")


def time_layers(
    load_float: LoadProfiled, quantized: bytes, feeds: Feeds, layers: Mapping[str, tuple[str, str]]
) -> tuple[list[LayerTime], LayerTime]:
    """Return the median time of each layer in both models with one thread, and of all other nodes together.

    Args:
        load_float: loads the float model whose nodes have the layers' names.
        quantized: the quantized model.
        feeds: the inputs of one run.
        layers: the name and the operator of the layer to which an executed node belongs, by the beginning of its name,
            as `executed_names` returns them.

    Raises:
        ModelError: the float model does not run.
        ExportError: the quantized model does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        sessions = (
            load_float(Path(folder, "float")),
            Session(quantized, "the quantized model", ExportError, threads=1, profile=Path(folder, "quantized")),
        )
        runs = _run_alternately(sessions, feeds)
        before, after = (_by_layer(session.node_times(), runs, layers) for session in sessions)
    named = dict(layers.values())
    times = [
        LayerTime(name=name, op=op, float_ms=before.get(name, 0.0), quantized_ms=after.get(name, 0.0))
        for name, op in named.items()
        if name
    ]
    other = LayerTime(name="", op="", float_ms=before.get("", 0.0), quantized_ms=after.get("", 0.0))
    return times, other


def _run_alternately(sessions: Sequence[Session], feeds: Feeds) -> int:
    """Run the sessions in turn and return the number of runs of each, a warm-up included."""
    started, runs = time.perf_counter(), 0
    while runs <= MIN_RUNS or (runs <= MAX_RUNS and time.perf_counter() - started < SLICE_S):
        for session in sessions:
            session.run(feeds)
        runs += 1
    return runs


def _by_layer(nodes: Sequence[NodeTime], runs: int, layers: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """Return the milliseconds of a run by the layer's name; those of all other nodes under the empty name."""
    times: dict[str, float] = {}
    for node in nodes:
        name = layer_of(node.name, layers)
        times[name] = times.get(name, 0.0) + _milliseconds(node.durations, runs)
    return times


def _milliseconds(durations: Sequence[float], runs: int) -> float:
    """Return the median time of a node in a run; a node in the body of a Loop or a Scan may run several times in each.

    The first run is left out, as its caches are cold.
    """
    each, rest = divmod(len(durations), runs)
    if rest or not each:  # the number of iterations differs from run to run
        return float(np.sum(durations)) / runs / 1000
    return float(np.median(np.reshape(durations, (runs, each))[1:].sum(axis=1))) / 1000


def layer_of(name: str, layers: Mapping[str, tuple[str, str]]) -> str:
    """Return the layer of an executed node, or an empty name.

    ONNX Runtime's optimisations append their own endings to the name of a node or of its output, such as `_nchwc`,
    `_token_3` or `/MatMulAddFusion`; so does the export, such as `_dequantize`. The longest beginning that belongs to
    a layer decides.
    """
    name = name.removeprefix("fused ")
    while name:
        if name in layers:
            return layers[name][0]
        shorter = _ENDING.sub("", name)
        name = shorter if shorter != name else ""
    return ""
