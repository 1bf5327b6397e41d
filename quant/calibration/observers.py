"""Observers: one pass of the float model over a calibration set, shared by everything that reads its tensors."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.data.padding import at_real_positions
from quant.deadline import UNLIMITED, Deadline
from quant.graph.constants import constant
from quant.graph.names import Names
from quant.graph.operators import is_clip, is_convolution, is_never_negative
from quant.graph.weightless import Weightless, weightless
from quant.runtime import Session

Tensors = Mapping[str, NDArray[np.generic]]
"""The values of tensors by their names."""


class Observer(Protocol):
    """An object that reads tensors of each batch and reduces them, so that no activation stays in memory."""

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the tensors, or of their peaks, that the observer needs from batch `number`."""

    def add(self, number: int, values: Tensors) -> None:
        """Observe batch `number`; `values` may hold other tensors too."""


PEAKS = "/peaks"
"""The suffix that names the peaks of a map (N, C, H, W): the largest value in each channel of each sample,
(N, C, 1, 1). The map itself then stays in the graph, in the blocked layout in which ONNX Runtime computes it."""
MAX_OUTPUT_RATIO = 2
"""A session is used again for fewer tensors if it computes at most so many times as many; else a new one is loaded."""
MAX_RECORDED_BYTES = 32 << 20
"""Outputs are recorded up to so many bytes; the others are computed again where they are needed."""


class OutputRecorder:
    """Observer that records the model's outputs for the batches of one part of the set, up to a size."""

    def __init__(self, model: ir.Model, part: Dataset) -> None:
        self._names = [str(value.name) for value in model.graph.outputs]
        self._numbers, self._bytes_left = frozenset(part.numbers), MAX_RECORDED_BYTES
        self._outputs: dict[int, list[NDArray[np.generic]]] = {}

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the outputs, for every batch: they are small, and the session computes them anyway."""
        return self._names

    def add(self, number: int, values: Tensors) -> None:
        """Record the outputs of a batch of the part if there is room left."""
        if number not in self._numbers:
            return
        outputs = [np.array(value) for name in self._names if isinstance(value := values[name], np.ndarray)]
        if len(outputs) < len(self._names):
            return  # a sequence, a map or an empty optional
        self._bytes_left -= sum(output.nbytes for output in outputs)
        if self._bytes_left >= 0:
            self._outputs[number] = outputs

    @property
    def recorded(self) -> Mapping[int, Sequence[NDArray[np.generic]]]:
        """The recorded outputs, by the number of their batch."""
        return self._outputs


def observe(
    model: Weightless,
    dataset: Dataset,
    observers: Sequence[Observer],
    progress: Callable[[int, int], None],
    deadline: Deadline = UNLIMITED,
) -> None:
    """Run the float model once over the set and pass the tensors of each batch to all observers.

    Padded positions are left out of the tensors; an `OutputRecorder` gets the whole outputs. After the deadline, no
    batch but the first is run.

    Raises:
        ModelError: the model does not run on the data.
    """
    sessions: dict[frozenset[str], Session] = {}
    numbers = dataset.numbers
    for turn, feeds in enumerate(dataset.watched(progress)):
        if turn and deadline.skips("a part of the calibration samples"):
            return
        required = _required(observers, numbers[turn])
        if not required:
            continue
        outputs = next((names for names in sessions if _serves(names, required)), None)
        if outputs is None:
            later = {_required(observers, number) for number in numbers[turn + 1 :]}
            sessions = {
                names: session for names, session in sessions.items() if any(_serves(names, other) for other in later)
            }
            outputs, sessions[required] = required, session_with_outputs(model, sorted(required))
        names = sorted(outputs)
        values = dict(zip(names, sessions[outputs].run(feeds, names), strict=True))
        used = dict(zip(values, at_real_positions(feeds, values.values()), strict=True))
        for observer in observers:
            observer.add(numbers[turn], values if isinstance(observer, OutputRecorder) else used)
        del values, used  # before the next run: the tensors of two batches would take twice the memory


def _required(observers: Sequence[Observer], number: int) -> frozenset[str]:
    """Return the tensors that any observer needs from batch `number`."""
    return frozenset(name for observer in observers for name in observer.wants(number))


def _serves(outputs: frozenset[str], required: frozenset[str]) -> bool:
    """Return True if a session with these outputs can be used: unused outputs cost time, but so does a new session."""
    return required <= outputs and len(outputs) <= MAX_OUTPUT_RATIO * len(required)


def extremes_sources(graph: ir.Graph, names: Collection[str]) -> dict[str, str]:
    """Return for each tensor the name of a tensor with the same extremes, zero included.

    That is its peaks if it is a map without negative values, else the tensor itself.
    """
    maps = {
        str(output.name)
        for node in graph
        for output in node.outputs[:1]
        if (is_never_negative(node) or _clips_at_zero(node)) and 4 in (_rank(output), _rank(node.inputs[0]))
    }
    taken = Names.of(graph)
    return {name: taken.value(name + PEAKS) if name in maps else name for name in names}


def clip_limits(graph: ir.Graph, names: Collection[str]) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest possible value, zero included, of the tensors that a Clip makes.

    Tensors without constant scalar bounds on both sides are left out.
    """
    limits: dict[str, tuple[float, float]] = {}
    for node in graph:
        if is_clip(node) and len(node.inputs) > 2:
            low, high = constant(node.inputs[1]), constant(node.inputs[2])
            if low is not None and high is not None and low.size == high.size == 1:
                limits[str(node.outputs[0].name)] = min(0.0, float(low.item())), max(0.0, float(high.item()))
    return {name: limits[name] for name in names if name in limits}


def _rank(value: ir.Value | None) -> int | None:
    """Return the number of axes of a tensor if its shape, or the weight of the Conv that makes it, is known."""
    producer = None if value is None else value.producer()
    known = producer.inputs[1] if producer is not None and is_convolution(producer) else value
    return None if known is None or known.shape is None else len(known.shape)


def _clips_at_zero(node: ir.Node) -> bool:
    """Return True for a Clip whose constant lower bound is not negative."""
    lower = constant(node.inputs[1]) if is_clip(node) and len(node.inputs) > 1 else None
    return lower is not None and bool((lower >= np.zeros_like(lower)).all())


def session_with_outputs(
    model: Weightless,
    names: Collection[str],
    *,
    fold_weights: bool = False,
    threads: int = 0,
    profile: Path | None = None,
) -> Session:
    """Return a session of the float model in which the named tensors, or their peaks, are outputs too.

    The options are those of `Session`.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    present, free = {output.name for output in proto.graph.output}, Names.of_proto(proto.graph)
    for name in names:
        if name not in free:  # the name of peaks: no tensor of the model has it
            proto.graph.node.add(op_type="GlobalMaxPool", input=[name[: name.rindex(PEAKS)]], output=[name])
        if name not in present:
            proto.graph.output.add(name=name)
    return Session(
        proto.SerializeToString(),
        "the float model",
        weights=model.arrays,
        fold_weights=fold_weights,
        threads=threads,
        profile=profile,
    )


def profiled(model: ir.Model, profile: Path) -> Session:
    """Return a session of the float model with one thread and a profile; it shares the memory of large weights.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """
    return session_with_outputs(weightless(model), (), threads=1, profile=profile)
