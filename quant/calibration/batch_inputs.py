"""Observer of the inputs of linear layers: a sample of the rows of each batch, and the range of the batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.calibration.observers import Tensors
from quant.data.dataset import Dataset

ROWS = 256
"""Rows of a sample over all batches: errors of ranges are only compared with each other, on the same rows."""


@dataclass(frozen=True)
class BatchInput:
    """The input of a layer in one batch.

    Attributes:
        rows: a sample of its rows (n, K).
        low: the smallest value of the whole tensor, at most 0.
        high: the largest value, at least 0.
    """

    rows: NDArray[np.float32]
    low: float
    high: float


class BatchInputObserver:
    """Observer of the named tensors, whose last axis holds channels, over the batches of one part of the set."""

    def __init__(self, names: Sequence[str], part: Dataset) -> None:
        self._numbers, self._rows_of_batch = frozenset(part.numbers), -(-ROWS // len(part.numbers))
        self.inputs: dict[str, list[BatchInput]] = {name: [] for name in names}

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the tensors if the batch is in the part."""
        return self.inputs if number in self._numbers else ()

    def add(self, number: int, values: Tensors) -> None:
        """Observe one batch; rows are taken at even distances."""
        if number not in self._numbers:
            return
        for name, batches in self.inputs.items():
            value = np.asarray(values[name], np.float32)
            rows = value.reshape(-1, value.shape[-1])
            if rows.size:
                sample = rows[:: -(-len(rows) // self._rows_of_batch)].copy()
                batches.append(BatchInput(sample, min(float(value.min()), 0.0), max(float(value.max()), 0.0)))


BatchInputs = Mapping[str, Sequence[BatchInput]]
"""The inputs that were observed, by the tensor's name."""
