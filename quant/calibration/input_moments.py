"""The second moments of every layer's input, which say what an error of its weights costs at its output."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.observers import Tensors
from quant.data.dataset import Dataset
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import Layer

POSITIONS, POSITIONS_PER_INPUT = 2048, 4
"""Rows that are drawn for a layer of K inputs: 2048 + 4 K over the whole set, spread evenly over the batches."""
SAMPLE = 1024
"""Rows that are drawn where errors are only compared with each other: all of them are seen by the same rows."""
SAMPLED_ON = 64
"""Samples that rows of maps are then drawn from, spread over the set: for each of them all maps leave the graph."""
NARROW = 64
"""Inputs up to which the moments take less room, and less time, than a sample of rows."""
DOUBT = 0.1
"""By how much promised means are off; 0.03 to 0.14 of their norm on the layers of a MobileNet."""
MAX_INPUTS = 4608
"""Wider layers (170 MB of moments) get none, but a sample."""


class Moments(Protocol):
    """What an error of the weights (G, O, K) of a layer costs at its output."""

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """E[x_k^2] of each input (G, K)."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """E[x_k] of each input (G, K)."""

    def energy(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """E[(a x)^2] of each output (G, O) for weights a (G, O, K)."""

    def energies(
        self, weights: NDArray[np.floating], other: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """E[(a x)^2] and E[(a x)(b x)] of each output (G, O) for weights a and b (G, O, K)."""


@dataclass(frozen=True)
class SecondMoments:
    """E[x x^T] (G, K, K) and E[x] (G, K) of the rows that a layer's weight matrix multiplies; float64."""

    square: NDArray[np.float64]
    mean: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """What is left of the error once the bias is corrected: (G, K, K)."""
        return self.square - self.mean[:, :, None] * self.mean[:, None, :]

    @cached_property
    def diagonal(self) -> NDArray[np.float64]:
        return np.diagonal(self.square, axis1=1, axis2=2)

    def energy(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        energy: NDArray[np.float64] = np.einsum("gok,gok->go", weights @ self.square, weights)
        return energy

    def energies(
        self, weights: NDArray[np.floating], other: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        product = weights @ self.square
        return np.einsum("gok,gok->go", product, weights), np.einsum("gok,gok->go", product, other)


@dataclass(frozen=True)
class InferredMoments(SecondMoments):
    """Moments that were not measured: channels are taken to be independent, which they are not.

    `above` (C,) is by how much the layer's outputs are expected above their mean where the activation behind them
    hides nothing.
    """

    above: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def once_corrected(self) -> "InferredMoments":
        """What is left of an error once the bias is corrected by the promised means, which are a tenth off."""
        left = self.covariance + DOUBT**2 * self.mean[:, :, None] * self.mean[:, None, :]
        return InferredMoments(left, self.mean, self.above)


@dataclass(frozen=True)
class InputSample:
    """Some of the rows (G, n, K) that a layer's weight matrix multiplies; float32."""

    rows: NDArray[np.float32]

    @cached_property
    def diagonal(self) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.einsum("gnk,gnk->gk", self.rows, self.rows, dtype=np.float64)
        return np.divide(total, self.rows.shape[1])

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.rows.mean(axis=1, dtype=np.float64)
        return mean

    def energy(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        outputs = self._outputs(weights)
        return _mean_product(outputs, outputs)

    def energies(
        self, weights: NDArray[np.floating], other: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        outputs = self._outputs(weights)
        return _mean_product(outputs, outputs), _mean_product(outputs, self._outputs(other))

    def _outputs(self, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = self.rows @ weights.astype(np.float32).swapaxes(1, 2)
        return outputs


def _mean_product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of outputs (G, n, O) over the rows: (G, O)."""
    total: NDArray[np.float64] = np.einsum("gno,gno->go", left, right, dtype=np.float64)
    return np.divide(total, left.shape[1])


class MomentObserver:
    """Sums the moments of each layer's input over the batches of a part of the set, or keeps a sample of it.

    `layers` says of each layer whether it needs the moments themselves; those that do not get them of fewer rows, or
    where they are not narrow a sample. Layers that share a weight get the same, pooled over all of them; those that
    are too wide get a sample in any case. Where none needs the moments themselves, few of the maps are looked at.
    """

    def __init__(self, model: ir.Model, layers: Sequence[tuple[Layer, bool]], part: Dataset) -> None:
        self._layers = [layer for layer, _ in layers if _has_matrix(layer, model.graph)]
        summed = {_key(layer) for layer, whole in layers if whole}
        self._sums = {_key(layer): _sums(layer, _key(layer) in summed) for layer in self._layers}
        numbers, few = frozenset(part.numbers), frozenset(part.spread(SAMPLED_ON).numbers)
        self._numbers = {_key(layer): few if _reads_map(layer) and not summed else numbers for layer in self._layers}

    def wants(self, number: int) -> Collection[str]:
        return {_input_name(layer) for layer in self._layers if number in self._numbers[_key(layer)]}

    def add(self, number: int, values: Tensors) -> None:
        """See one batch."""
        for layer in self._layers:
            numbers, into = self._numbers[_key(layer)], self._sums[_key(layer)]
            if number not in numbers:
                continue
            limit = -(-into.wanted // len(numbers))
            value = np.asarray(values[_input_name(layer)], np.float32)
            into.add(input_rows(layer, value, limit, seed=number))

    def moments(self) -> dict[str, SecondMoments | InputSample]:
        """What is known of each layer's input, by name."""
        sums = self._sums
        return {layer.name: sums[_key(layer)].moments() for layer in self._layers if sums[_key(layer)].count}


def _sums(layer: Layer, whole: bool) -> "_Sums | _Rows":
    matrix = weight_matrix(layer, layer.weight)
    assert matrix is not None, "a layer without a matrix is not looked at"
    groups, _, width = matrix.shape
    if width > (MAX_INPUTS if whole else NARROW):
        return _Rows()
    wanted = POSITIONS + POSITIONS_PER_INPUT * width if whole else SAMPLE
    return _Sums(np.zeros((groups, width, width)), np.zeros((groups, width)), wanted)


@dataclass
class _Sums:
    """Running sums of x x^T (G, K, K) and x (G, K) over `count` rows."""

    square: NDArray[np.float64]
    mean: NDArray[np.float64]
    wanted: int
    count: int = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        self.square += rows.swapaxes(1, 2) @ rows
        self.mean += rows.sum(axis=1, dtype=np.float64)
        self.count += rows.shape[1]

    def moments(self) -> SecondMoments:
        return SecondMoments(self.square / self.count, self.mean / self.count)


@dataclass
class _Rows:
    """The rows themselves, `count` of them."""

    parts: list[NDArray[np.float32]] = field(default_factory=list)
    wanted: int = SAMPLE

    @property
    def count(self) -> int:
        return sum(part.shape[1] for part in self.parts)

    def add(self, rows: NDArray[np.float32]) -> None:
        self.parts.append(rows)

    def moments(self) -> InputSample:
        return InputSample(np.concatenate(self.parts, axis=1))


def _has_matrix(layer: Layer, graph: ir.Graph) -> bool:
    """What flows in the body of an If, Loop or Scan cannot be read."""
    return layer.node.graph is graph and weight_matrix(layer, layer.weight) is not None


def _reads_map(layer: Layer) -> bool:
    """Whether each sample gives many rows."""
    return layer.operator.spatial


def _key(layer: Layer) -> tuple[str, int]:
    """Layers that share a weight share its codes: what they see is pooled."""
    return layer.weight_name, layer.axis


def _input_name(layer: Layer) -> str:
    return str(layer.operand(layer.input_index).name)
