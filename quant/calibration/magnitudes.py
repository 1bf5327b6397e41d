"""The magnitudes of all float tensors over the calibration set."""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.observers import Tensors


class MagnitudeObserver:
    """Observer that finds the largest finite magnitude of every named float tensor.

    Attributes:
        largest: the largest magnitude over the batches so far, by the tensor's name.
    """

    def __init__(self, graph: ir.Graph) -> None:
        values = (*graph.inputs, *(output for node in graph for output in node.outputs))
        self._names = [str(value.name) for value in values if value.dtype == ir.DataType.FLOAT and value.name]
        self.largest: dict[str, float] = {}

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the tensors, for every batch."""
        return self._names

    def add(self, number: int, values: Tensors) -> None:
        """Observe one batch; NaN and infinities are left out."""
        for name in self._names:
            array = values[name]
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                self.largest[name] = max(self.largest.get(name, 0.0), largest_finite(array))


def largest_finite(array: NDArray[np.generic]) -> float:
    """Return the largest finite magnitude of an array of floats; 0 if there is none."""
    if not array.size:
        return 0.0
    largest = max(abs(float(array.min())), abs(float(array.max())))
    if np.isfinite(largest):
        return largest
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
