"""Observer of tensors whose last axis holds channels: a sample of their rows, and the extremes of each channel."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.calibration.observers import Tensors
from quant.data.dataset import Dataset

ROWS = 512
"""Rows of a sample: errors of smoothings are only compared with each other, on the same rows."""


@dataclass(frozen=True)
class ChannelInputs:
    """The inputs of layers that read the same tensor with K channels.

    Attributes:
        rows: a sample of rows (n, K).
        minimum: the smallest value of each channel (K,) over all rows that were observed.
        maximum: the largest value of each channel (K,).
    """

    rows: NDArray[np.float32]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


class ChannelInputObserver:
    """Observer of the named tensors over the batches of one part of the set."""

    def __init__(self, names: Sequence[str], part: Dataset) -> None:
        self._names, self._numbers = frozenset(names), frozenset(part.numbers)
        self._rows_of_batch = -(-ROWS // len(part.numbers))
        self._rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
        self._extremes: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the tensors if the batch is in the part."""
        return self._names if number in self._numbers else ()

    def add(self, number: int, values: Tensors) -> None:
        """Observe one batch; rows are taken at even distances."""
        if number not in self._numbers:
            return
        for name in self._names:
            value = np.asarray(values[name], np.float32)
            rows = value.reshape(-1, value.shape[-1])
            if not rows.size:
                continue
            low, high = rows.min(axis=0), rows.max(axis=0)
            if name in self._extremes:
                low, high = np.minimum(low, self._extremes[name][0]), np.maximum(high, self._extremes[name][1])
            self._extremes[name] = low, high
            self._rows[name].append(rows[:: -(-len(rows) // self._rows_of_batch)].copy())

    def inputs(self) -> Mapping[str, ChannelInputs]:
        """Return the inputs by the tensor's name; a tensor without rows or with NaN or infinity is left out."""
        finite = {name for name, extremes in self._extremes.items() if np.isfinite(extremes).all()}
        return {
            name: ChannelInputs(
                np.concatenate(self._rows[name]), *(extreme.astype(np.float64) for extreme in self._extremes[name])
            )
            for name in finite
        }
