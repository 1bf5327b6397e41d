"""The observed tensors of the float model: shapes, ranges and norms on the calibration set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.calibration.observers import session_with_outputs
from quant.data.dataset import Dataset
from quant.error_bounds.intervals import Box
from quant.graph.weightless import Weightless

SAMPLES = 2
"""Samples of the calibration set that are run, one after the other: each run holds every activation in memory."""
MAX_INTEGERS = 64
"""Integers up to which a tensor can hold sizes, axes or borders."""


@dataclass(frozen=True)
class TensorRange:
    """One float tensor on part of the calibration set.

    Attributes:
        shape: the shape, batch axis included.
        low: the least value.
        high: the greatest value.
        norm: the largest 2-norm of one sample.
    """

    shape: tuple[int, ...]
    low: float
    high: float
    norm: float

    @classmethod
    def of(cls, value: NDArray[np.generic]) -> "TensorRange":
        """Return the range of one batch."""
        norm = max(np.linalg.norm(sample) for sample in value.reshape(len(value), -1).astype(np.float64))
        return cls(value.shape, float(value.min()), float(value.max()), float(norm))

    def joined(self, other: "TensorRange") -> "TensorRange":
        """Return the range of both batches together."""
        low, high, norm = min(self.low, other.low), max(self.high, other.high), max(self.norm, other.norm)
        return replace(self, low=low, high=high, norm=norm)


@dataclass(frozen=True)
class ObservedTensors:
    """By name, the range of each observed float tensor, inputs included, and the values of small integer tensors."""

    ranges: Mapping[str, TensorRange]
    integers: Mapping[str, NDArray[Any]]


def observe_tensors(graph: Weightless, calibration: Dataset, names: Sequence[str]) -> ObservedTensors:
    """Return what the inputs and the named tensors of the float model are on a few samples.

    Raises:
        ModelError: the model does not run on the calibration set.
    """
    session = session_with_outputs(graph, names)
    ranges: dict[str, TensorRange] = {}
    integers: dict[str, NDArray[Any]] = {}
    for feeds in calibration.singly().spread(SAMPLES).batches():
        values = session.run(feeds, names) if names else []  # a model may read its inputs in bodies only
        for name, value in (*feeds.items(), *zip(names, values, strict=True)):
            if not isinstance(value, np.ndarray):
                continue  # a sequence, a map or an empty optional
            if value.dtype.kind == "f" and value.ndim and value.size:
                batch = TensorRange.of(value)
                ranges[name] = ranges[name].joined(batch) if name in ranges else batch
            elif value.dtype.kind == "i" and value.size <= MAX_INTEGERS and name not in feeds:
                integers[name] = value
    return ObservedTensors(ranges, integers)


def input_boxes(calibration: Dataset) -> dict[str, Box]:
    """Return by name the box of each float input over the whole calibration set.

    A box has one range per channel: it is shaped (C, 1, ...), or (F,) for an input (N, F).
    """
    boxes: dict[str, Box] = {}
    for feeds in calibration.batches():
        for name, value in feeds.items():
            if value.dtype.kind != "f" or value.ndim < 2:
                continue
            box = _channel_box(value)
            boxes[name] = boxes.get(name, box).joined(box)
    return boxes


def _channel_box(value: NDArray[np.generic]) -> Box:
    axes, shape = (0, *range(2, value.ndim)), (value.shape[1], *[1] * (value.ndim - 2))
    low, high = (end(axis=axes).astype(np.float64).reshape(shape) for end in (value.min, value.max))
    return Box(low, high)
