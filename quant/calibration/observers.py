"""One pass of the float model over a calibration set, for everything that looks at its tensors."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.graph.constants import constant
from quant.graph.operators import is_clip, is_convolution, is_never_negative
from quant.graph.weightless import Weightless
from quant.runtime import Session

Tensors = Mapping[str, NDArray[np.generic]]


class Observer(Protocol):
    """Reduces what it sees of each batch and keeps no activation."""

    def wants(self, number: int) -> Collection[str]:
        """The tensors of batch `number` that it has to look at, or their peaks."""

    def add(self, number: int, values: Tensors) -> None:
        """See these tensors; others may be among them."""


PEAKS = "/peaks"
"""Behind the name of a map (N, C, H, W): its largest value in each channel of each sample, (N, C, 1, 1). The map itself
then never leaves the graph, nor the blocked layout in which ONNX Runtime computes it."""
SPARE = 2
"""How many times as many tensors as are wanted a session may give, before another is made that gives fewer."""
OUTPUTS = 32 << 20
"""Bytes of outputs that are kept: those of larger ones are computed again where they are needed."""


class OutputRecorder:
    """Keeps the model's outputs of the batches of a part of the set, as far as they are small."""

    def __init__(self, model: ir.Model, part: Dataset) -> None:
        self._names = [str(value.name) for value in model.graph.outputs]
        self._numbers, self._left = frozenset(part.numbers), OUTPUTS
        self._kept: dict[int, list[NDArray[np.generic]]] = {}

    def wants(self, number: int) -> Collection[str]:
        return self._names  # they are small, and there anyway

    def add(self, number: int, values: Tensors) -> None:
        if number not in self._numbers:
            return
        outputs = [np.array(values[name]) for name in self._names]
        self._left -= sum(output.nbytes for output in outputs)
        if self._left >= 0:
            self._kept[number] = outputs

    @property
    def kept(self) -> Mapping[int, Sequence[NDArray[np.generic]]]:
        """The outputs by the number of their batch."""
        return self._kept


def observe(
    model: Weightless, dataset: Dataset, observers: Sequence[Observer], progress: Callable[[int, int], None]
) -> None:
    """Run the float model once over the set and show each batch's tensors to all observers.

    Raises:
        ModelError: the model does not run on the data.
    """
    sessions: dict[frozenset[str], Session] = {}
    numbers = dataset.numbers
    for turn, feeds in enumerate(dataset.watched(progress)):
        wanted = _wanted(observers, numbers[turn])
        if not wanted:
            continue
        given = next((names for names in sessions if _serves(names, wanted)), None)
        if given is None:
            later = {_wanted(observers, number) for number in numbers[turn + 1 :]}
            sessions = {names: one for names, one in sessions.items() if any(_serves(names, those) for those in later)}
            given, sessions[wanted] = wanted, session_with_outputs(model, sorted(wanted))
        names = sorted(given)
        values = dict(zip(names, sessions[given].run(feeds, names), strict=True))
        for observer in observers:
            observer.add(numbers[turn], values)


def _wanted(observers: Sequence[Observer], number: int) -> frozenset[str]:
    return frozenset(name for observer in observers for name in observer.wants(number))


def _serves(names: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether a session with these outputs will do: what nobody wants of it takes time, but so does another one."""
    return wanted <= names and len(names) <= SPARE * len(wanted)


def extremes_of(graph: ir.Graph, names: Collection[str]) -> dict[str, str]:
    """For each tensor what shows its extremes beside zero: its peaks, where it is a map without negative values, or it
    itself."""
    maps = {
        str(output.name)
        for node in graph
        for output in node.outputs[:1]
        if (is_never_negative(node) or _clips_at_zero(node)) and 4 in (_rank(output), _rank(node.inputs[0]))
    }
    return {name: name + PEAKS if name in maps else name for name in names}


def limits_of(graph: ir.Graph, names: Collection[str]) -> dict[str, tuple[float, float]]:
    """The least and the greatest value, with zero between them, that those of the tensors can have which are clipped to
    constants."""
    found: dict[str, tuple[float, float]] = {}
    for node in graph:
        if is_clip(node) and len(node.inputs) > 2:
            low, high = constant(node.inputs[1]), constant(node.inputs[2])
            if low is not None and high is not None and low.size == high.size == 1:
                found[str(node.outputs[0].name)] = min(0.0, float(low.item())), max(0.0, float(high.item()))
    return {name: found[name] for name in names if name in found}


def _rank(value: ir.Value | None) -> int | None:
    """As far as the model tells it, or the Conv that makes the value."""
    producer = None if value is None else value.producer()
    telling = producer.inputs[1] if producer is not None and is_convolution(producer) else value
    return None if telling is None or telling.shape is None else len(telling.shape)


def _clips_at_zero(node: ir.Node) -> bool:
    least = constant(node.inputs[1]) if is_clip(node) and len(node.inputs) > 1 else None
    return least is not None and bool((least >= np.zeros_like(least)).all())


def session_with_outputs(model: Weightless, names: Collection[str], *, fold_weights: bool = False) -> Session:
    """The float model loaded, with the named tensors as outputs too, or their peaks.

    Raises:
        ModelError: it cannot be loaded.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    present = {output.name for output in proto.graph.output}
    for name in names:
        if name.endswith(PEAKS):
            proto.graph.node.add(op_type="GlobalMaxPool", input=[name.removesuffix(PEAKS)], output=[name])
        if name not in present:
            proto.graph.output.add(name=name)
    return Session(proto.SerializeToString(), "the float model", weights=model.arrays, fold_weights=fold_weights)
