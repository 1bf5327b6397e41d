"""One pass of the float model over a calibration set, for everything that looks at its tensors."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.dataset import Dataset
from quant.runtime import Session

Tensors = Mapping[str, NDArray[np.generic]]


class Observer(Protocol):
    """Reduces what it sees of each batch and keeps no activation."""

    @property
    def names(self) -> Collection[str]:
        """The tensors that it looks at."""

    def add(self, number: int, values: Tensors) -> None:
        """See the tensors of batch `number`; others may be among them."""


OUTPUTS = 32 << 20
"""Bytes of outputs that are kept: those of larger ones are computed again where they are needed."""


class OutputRecorder:
    """Keeps the model's outputs of the batches of a part of the set, as far as they are small."""

    def __init__(self, model: ir.Model, part: Dataset) -> None:
        self.names = [str(value.name) for value in model.graph.outputs]
        self._numbers, self._left = part.numbers, OUTPUTS
        self._kept: dict[int, list[NDArray[np.generic]]] = {}

    def add(self, number: int, values: Tensors) -> None:
        if number not in self._numbers:
            return
        outputs = [np.array(values[name]) for name in self.names]
        self._left -= sum(output.nbytes for output in outputs)
        if self._left >= 0:
            self._kept[number] = outputs

    @property
    def kept(self) -> Mapping[int, Sequence[NDArray[np.generic]]]:
        """The outputs by the number of their batch."""
        return self._kept


def observe(
    model: ir.Model, dataset: Dataset, observers: Sequence[Observer], progress: Callable[[int, int], None]
) -> None:
    """Run the float model once over the set and show each batch's tensors to all observers.

    Raises:
        ModelError: the model does not run on the data.
    """
    names = sorted({name for observer in observers for name in observer.names})
    if not names:
        return
    session = Session(with_outputs(model, names), "the float model")
    for feeds, number in zip(dataset.watched(progress), dataset.numbers, strict=True):
        values = dict(zip(names, session.run(feeds, names), strict=True))
        for observer in observers:
            observer.add(number, values)


def with_outputs(model: ir.Model, names: Collection[str]) -> bytes:
    """The model as bytes, with the named tensors as outputs too."""
    proto = ir.to_proto(model)
    present = {output.name for output in proto.graph.output}
    for name in names:
        if name not in present:
            proto.graph.output.add(name=name)
    data: bytes = proto.SerializeToString()
    return data
