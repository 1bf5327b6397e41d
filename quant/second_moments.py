"""The second moments of every layer's input, which say what an error of its weights costs at its output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration import with_outputs
from quant.dataset import Dataset
from quant.graph.inventory import Layer
from quant.products import input_rows, weight_matrix
from quant.runtime import Session

POSITIONS, POSITIONS_PER_INPUT = 2048, 4
"""Rows that are drawn for a layer of K inputs: 2048 + 4 K over the whole set, spread evenly over the batches."""
MAX_INPUTS = 4608
"""Wider layers (170 MB of moments) are quantized without them."""


@dataclass(frozen=True)
class SecondMoments:
    """E[x x^T] (G, K, K) and E[x] (G, K) of the rows that a layer's weight matrix multiplies; float64."""

    square: NDArray[np.float64]
    mean: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """What is left of the error once the bias is corrected: (G, K, K)."""
        return self.square - self.mean[:, :, None] * self.mean[:, None, :]


def measure_second_moments(
    model: ir.Model, layers: Sequence[Layer], dataset: Dataset, progress: Callable[[int, int], None]
) -> dict[str, SecondMoments]:
    """The moments of each layer by name, from one pass over the set; layers that are too wide are left out.

    Layers that share a weight get the same moments, pooled over all of them.

    Raises:
        ModelError: the model does not run on the data.
    """
    sums = {_key(layer): _Sums.like(layer) for layer in layers if _has_moments(layer, model.graph)}
    wanted = [layer for layer in layers if _key(layer) in sums]
    if not wanted:
        return {}
    names = sorted({str(layer.operand(layer.input_index).name) for layer in wanted})
    session = Session(with_outputs(model, names), "the float model")
    batches, done = max(-(-dataset.used // dataset.batch), 1), 0
    for number, feeds in enumerate(dataset.batches()):
        values = dict(zip(names, session.run(feeds, names), strict=True))
        for layer in wanted:
            into = sums[_key(layer)]
            limit = -(-(POSITIONS + POSITIONS_PER_INPUT * into.mean.shape[1]) // batches)
            value = np.asarray(values[str(layer.operand(layer.input_index).name)], np.float32)
            into.add(input_rows(layer, value, limit, seed=number))
        done = min(done + dataset.batch, dataset.used)
        progress(done, dataset.used)
    return {layer.name: sums[_key(layer)].moments() for layer in wanted if sums[_key(layer)].count}


def output_error(difference: NDArray[np.float64], hessian: NDArray[np.float64]) -> NDArray[np.float64]:
    """dW H dW^T of each output: (G, O) from differences (G, O, K) and moments (G, K, K); the mean squared error."""
    error: NDArray[np.float64] = np.einsum("gok,gok->go", difference @ hessian, difference)
    return np.maximum(error, 0)


@dataclass
class _Sums:
    """Running sums of x x^T (G, K, K) and x (G, K) over `count` rows."""

    square: NDArray[np.float64]
    mean: NDArray[np.float64]
    count: int = 0

    @classmethod
    def like(cls, layer: Layer) -> "_Sums":
        matrix = weight_matrix(layer, layer.weight)
        assert matrix is not None, "a layer with moments has a matrix"
        groups, _, width = matrix.shape
        return cls(np.zeros((groups, width, width)), np.zeros((groups, width)))

    def add(self, rows: NDArray[np.float32]) -> None:
        self.square += rows.swapaxes(1, 2) @ rows
        self.mean += rows.sum(axis=1, dtype=np.float64)
        self.count += rows.shape[1]

    def moments(self) -> SecondMoments:
        return SecondMoments(self.square / self.count, self.mean / self.count)


def _has_moments(layer: Layer, graph: ir.Graph) -> bool:
    if layer.node.graph is not graph:  # what flows in the body of an If, Loop or Scan cannot be read
        return False
    matrix = weight_matrix(layer, layer.weight)
    return matrix is not None and matrix.shape[2] <= MAX_INPUTS


def _key(layer: Layer) -> tuple[str, int]:
    """Layers that share a weight share its codes: what they see is pooled."""
    return layer.weight_name, layer.axis
