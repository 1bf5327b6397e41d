"""Inputs made for a model from what it declares, to compare two forms of it where nobody gave data."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

MAX_ELEMENTS = 1 << 26
"""Of all inputs together: a model may declare more than the memory holds."""
_BATCHES = (2, 1)
_OTHERS = (64, 512, 16_000, 224, 8)
"""Sizes for a free axis that is no batch: images, samples of sound, tokens."""
_ENDS = {np.dtype(np.uint8): 256}
"""Random integers stay below 2, valid as tokens and indices; bytes below 256."""


def generated_feeds(model: ir.Model) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Seeded random inputs by name, in several sizes: whether the model takes them only running it can tell.

    A free axis is a batch where it is the first, or, in a second round, wherever it is not the last. Nothing is
    given for a model with an input of unknown rank, or of a type that NumPy does not have.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    known = [value.shape is not None and value.dtype is not None and _is_plain(value.dtype) for value in inputs]
    if not all(known):
        return
    for last_is_free, other, batch in product((False, True), _OTHERS, _BATCHES):
        shapes = {str(value.name): _shape(value, batch, other, last_is_free=last_is_free) for value in inputs}
        if sum(math.prod(shape) for shape in shapes.values()) <= MAX_ELEMENTS:
            yield {str(value.name): _array(value, shapes[str(value.name)]) for value in inputs}


def _is_plain(dtype: ir.DataType) -> bool:
    return (dtype.is_floating_point() and dtype.bitwidth >= 16) or dtype.is_integer() or dtype == ir.DataType.BOOL


def _shape(value: ir.Value, batch: int, other: int, *, last_is_free: bool) -> list[int]:
    assert value.shape is not None, "checked before"
    sizes = list(value.shape)
    last = len(sizes) - 1
    return [
        size
        if isinstance(size, int) and size > 0
        else (other if axis and (axis == last or not last_is_free) else batch)
        for axis, size in enumerate(sizes)
    ]


def _array(value: ir.Value, shape: list[int]) -> NDArray[np.generic]:
    assert value.dtype is not None, "checked before"
    chance = np.random.default_rng(0)
    dtype = value.dtype.numpy()
    if value.dtype.is_floating_point():
        return np.asarray(chance.standard_normal(shape, np.float32)).astype(dtype, copy=False)
    return np.asarray(chance.integers(0, _ENDS.get(dtype, 2), shape)).astype(dtype, copy=False)
