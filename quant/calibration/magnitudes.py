"""The magnitudes of all float tensors over the calibration set."""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

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
            finite = array[np.isfinite(array)] if isinstance(array, np.ndarray) and array.dtype.kind == "f" else None
            if finite is not None and finite.size:
                largest = max(abs(float(finite.min())), abs(float(finite.max())))
                self.largest[name] = max(self.largest.get(name, 0.0), largest)
