"""Padding: the positions of token sequences that an attention mask marks as unused.

What a transformer computes at these positions is not used, and may lie far outside of the range of the real tokens.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.calibration.observers import Observer, Tensors

MASK = "attention_mask"
"""The name of the model's input (N, T) that is zero at padding, as all exporters of transformers call it."""


@dataclass(frozen=True)
class RealTokens:
    """Observer that passes the tensors to another one without the positions of padding."""

    observer: Observer

    def wants(self, number: int) -> Collection[str]:
        """Return the names that the other observer needs from batch `number`."""
        return self.observer.wants(number)

    def add(self, number: int, values: Tensors) -> None:
        """Pass batch `number` on; the mask is one of `values` where the model has one."""
        mask = values.get(MASK)
        real = None if mask is None or mask.ndim != 2 else mask != 0
        if real is not None and not real.all() and real.any():
            values = {name: without_padding(value, real) for name, value in values.items()}
        self.observer.add(number, values)


def without_padding(value: NDArray[np.generic], real: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Return the rows of a tensor (N, T, C) or (N T, C) at the real positions (N, T), with as many axes as before.

    Other tensors are returned as they are.
    """
    if value.ndim == 3 and value.shape[:2] == real.shape:
        return value[real][None]
    if value.ndim == 2 and len(value) == real.size and value.shape != real.shape:
        return value[real.reshape(-1)]
    return value
