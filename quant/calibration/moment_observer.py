"""Observer that measures the moments of layer inputs, or draws a sample of their rows."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.input_moments import MAX_INPUTS, InputSample, SecondMoments
from quant.calibration.observers import Tensors
from quant.calibration.shrinkage import shrink_covariance
from quant.data.dataset import Dataset
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import Layer

ROWS, ROWS_PER_INPUT = 2048, 4
"""Second moments of a layer with K inputs use 2048 + 4 K rows of the whole set, spread evenly over its batches."""
SAMPLED_ROWS = 1024
"""Rows of a sample: errors are only compared with each other, and all of them are measured on the same rows."""
SAMPLED_MAPS = 32
"""Samples, spread over the set, from which rows of maps are drawn: each of them takes all maps out of the graph, and
the time of three float runs. The output SQNR of four networks at 8 and 4 bits differs by at most 0.15 dB from that with
64, in both directions, but for one that is 0.4 dB better."""
FEW_ROWS_PER_INPUT = 2
"""Rows for each input up to which covariances are shrunk. For a classifier of 768 inputs and 150 samples, this raises
the output SQNR of a MobileNet at few bits from 8.4 to 9.0 dB; where there are more rows, it gains nothing."""
NARROW = 64
"""Up to so many inputs, second moments take less memory and time than a sample of rows."""
MAX_MOMENT_BYTES = 256 << 20
"""The bytes of all second moments together for a model whose weights take less; else they take as much as these."""
Key = tuple[str, int | None]
"""The name and the axis of a weight, or the name of an input."""


class MomentObserver:
    """Observer of the layers' inputs over the batches of one part of the set.

    A layer that needs all second moments gets them, from many rows. Any other layer gets second moments from fewer rows
    if it is narrow, else a sample of rows. A layer that is too wide always gets a sample, and so do the widest layers
    where the second moments of all would take more than `MAX_MOMENT_BYTES`. Layers that share a weight share their
    moments, and so do products with different weights that read one tensor. If no layer needs all second moments, maps
    are read for some batches only.
    """

    def __init__(self, model: ir.Model, layers: Sequence[tuple[Layer, bool]], part: Dataset) -> None:
        """Prepare to observe layers, each with True if it needs all second moments; without a matrix it is left out."""
        self._layers = [layer for layer, _ in layers if _has_matrix(layer, model.graph)]
        self._keys = keys = _keys(self._layers)
        needed = {keys[layer.name] for layer, needs_all in layers if needs_all and layer.name in keys}
        complete = _within_memory({key: layer for layer, key in self._unique() if key in needed}, self._layers)
        self._sums = {key: _new_sums(layer, key in complete) for layer, key in self._unique()}
        numbers, few = frozenset(part.numbers), frozenset(part.spread(SAMPLED_MAPS).numbers)
        self._numbers = {key: few if _reads_map(layer) and not complete else numbers for layer, key in self._unique()}

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the layers' inputs that are read in batch `number`."""
        return {_input_name(layer) for layer, key in self._unique() if number in self._numbers[key]}

    def add(self, number: int, values: Tensors) -> None:
        """Add rows of each layer's input in one batch."""
        for layer, key in self._unique():
            numbers, sums = self._numbers[key], self._sums[key]
            if number not in numbers:
                continue
            limit = -(-sums.rows_needed // len(numbers))
            value = np.asarray(values[_input_name(layer)], np.float32)
            sums.add(input_rows(layer, value, limit, seed=number))

    def moments(self) -> dict[str, SecondMoments | InputSample]:
        """Return the moments or the sample of each layer's input, by the layer's name."""
        moments = {key: sums.moments() for key, sums in self._sums.items() if sums.count}
        keys = self._keys
        return {layer.name: moments[keys[layer.name]] for layer in self._layers if keys[layer.name] in moments}

    def _unique(self) -> Iterator[tuple[Layer, Key]]:
        """Yield the first of the layers with the same key and the same input, with the key."""
        first = {(self._keys[layer.name], _input_name(layer)): layer for layer in reversed(self._layers)}
        for (key, _), layer in reversed(first.items()):
            yield layer, key


@dataclass
class _Sums:
    """Sums of x x^T (G, K, K) and x (G, K) over `count` rows x, and the rows themselves while they are few."""

    square: NDArray[np.float64]
    mean: NDArray[np.float64]
    rows_needed: int
    count: int = 0
    rows: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, rows: NDArray[np.float32]) -> None:
        self.square += rows.swapaxes(1, 2) @ rows
        self.mean += rows.sum(axis=1, dtype=np.float64)
        self.count += rows.shape[1]
        self.rows = [*self.rows, rows] if self._are_few else []

    def moments(self) -> SecondMoments:
        moments = SecondMoments(self.square / self.count, self.mean / self.count)
        few = self._are_few and self.count > 1
        return shrink_covariance(moments, np.concatenate(self.rows, axis=1)) if few else moments

    @property
    def _are_few(self) -> bool:
        return bool(self.count <= FEW_ROWS_PER_INPUT * self.mean.shape[1])


@dataclass
class _Rows:
    """A growing sample of rows (G, n, K)."""

    parts: list[NDArray[np.float32]] = field(default_factory=list)
    rows_needed: int = SAMPLED_ROWS

    @property
    def count(self) -> int:
        return sum(part.shape[1] for part in self.parts)

    def add(self, rows: NDArray[np.float32]) -> None:
        self.parts.append(rows)

    def moments(self) -> InputSample:
        return InputSample(np.concatenate(self.parts, axis=1))


def _within_memory(needed: Mapping[Key, Layer], layers: Sequence[Layer]) -> set[Key]:
    """Return the keys of the layers that get all second moments: as many as memory allows, the narrowest first."""
    limit = max(MAX_MOMENT_BYTES, 4 * sum({layer.weight_name: layer.size for layer in layers}.values()))
    sizes = {key: 8 * groups * width**2 for key, (groups, width) in ((k, _extent(needed[k])) for k in needed)}
    ordered = sorted(sizes, key=lambda key: sizes[key])
    totals = np.cumsum([sizes[key] for key in ordered])
    return {key for key, total in zip(ordered, totals, strict=True) if total <= limit}


def _extent(layer: Layer) -> tuple[int, int]:
    """Return the number of groups and of inputs in each group."""
    matrix = weight_matrix(layer, layer.weight)
    assert matrix is not None, "a layer without a matrix is not observed"
    return matrix.shape[0], matrix.shape[2]


def _new_sums(layer: Layer, complete: bool) -> _Sums | _Rows:
    """Return empty sums for a layer, or an empty sample if it does not get second moments or is too wide for them."""
    groups, width = _extent(layer)
    if width > (MAX_INPUTS if complete else NARROW):
        return _Rows()
    rows_needed = ROWS + ROWS_PER_INPUT * width if complete else SAMPLED_ROWS
    return _Sums(np.zeros((groups, width, width)), np.zeros((groups, width)), rows_needed)


def _has_matrix(layer: Layer, graph: ir.Graph) -> bool:
    """Return True if the layer has a matrix and rows to multiply, and is not in the body of an If, Loop or Scan."""
    readable = layer.node.graph is graph and layer.multiplied is not None
    return readable and weight_matrix(layer, layer.weight) is not None


def _reads_map(layer: Layer) -> bool:
    """Return True if each sample gives many rows."""
    return layer.operator.spatial


def _keys(layers: Sequence[Layer]) -> dict[str, Key]:
    """Return the key of the moments of each layer, by its name.

    Layers that share a weight share its codes, so their rows are pooled. Products with a weight of their own and the
    same input have the same rows.
    """
    weights = [(layer.weight_name, layer.axis) for layer in layers]
    readers = Counter(weights)
    plain = [layer.operator.is_matmul(layer.node) and layer.weight_operand.reduces_matrix for layer in layers]
    return {
        layer.name: (_input_name(layer), None) if matmul and readers[weight] == 1 else weight
        for layer, weight, matmul in zip(layers, weights, plain, strict=True)
    }


def _input_name(layer: Layer) -> str:
    multiplied = layer.multiplied
    assert multiplied is not None, "a layer without rows is not observed"
    return str(multiplied.name)
