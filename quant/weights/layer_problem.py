"""One layer's weight as a rounding problem: the matrix, which scale each weight has, and what an error costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import Moments, SecondMoments
from quant.graph.im2col import from_weight_matrix, weight_matrix
from quant.graph.inventory import Layer
from quant.kernel import dispatch
from quant.methods.grids.codebook import AnyCodebook, UniformCodebook
from quant.methods.rounding.base import Column, Matrix, ToGrid
from quant.weights.granularity import Granularity, PerBlock


@dataclass(frozen=True)
class LayerProblem:
    """Weights (G, O, K), the row of the codebook that each belongs to, and what is known of the layer's inputs.

    `shares` (2, P) lists each row with each output (flat) that has weights of it.
    """

    layer: Layer
    granularity: Granularity
    matrix: Matrix
    rows: NDArray[np.intp]
    shares: NDArray[np.intp]
    moments: Moments

    @classmethod
    def of(cls, layer: Layer, granularity: Granularity, moments: Moments) -> "LayerProblem":
        """Requires: a layer that has a matrix."""
        matrix = weight_matrix(layer, layer.weight)
        number = granularity.rows(np.zeros(layer.shape, np.intp))
        number += np.arange(len(number))[:, None]
        rows = weight_matrix(layer, granularity.restore(number, layer.shape))
        assert matrix is not None, "a layer without a matrix has no moments"
        assert rows is not None, "its weight has one"
        return cls(layer, granularity, matrix, rows, _shares(rows, granularity), moments)

    @property
    def hessian(self) -> NDArray[np.float64]:
        """E[x x^T] (G, K, K); requires that the moments themselves were summed."""
        assert isinstance(self.moments, SecondMoments), "a rounding that needs data has them summed"
        return self.moments.square

    def repeated(self, times: int) -> "LayerProblem":
        """The same weights several times over, each with rows of its own: one pass then tries several codebooks."""
        count = int(self.rows.max()) + 1
        rows = np.concatenate([self.rows + number * count for number in range(times)], axis=1)
        matrix = np.tile(self.matrix, (1, times, 1))
        return replace(self, matrix=matrix, rows=rows, shares=_shares(rows, self.granularity))

    def nearest(self, codebook: AnyCodebook) -> Matrix:
        """The level nearest to each weight (G, O, K), float32."""
        rows = self.granularity.rows(self.layer.weight)
        values = self.granularity.restore(codebook.decode(codebook.encode(rows)), self.layer.shape)
        matrix = weight_matrix(self.layer, values)
        assert matrix is not None, "its weight has one"
        return matrix

    def to_grid(self, codebook: AnyCodebook) -> ToGrid:
        """Rounds the weights of one input after the other."""

        def to_grid(values: Column, k: int) -> Column:
            book = codebook.select_rows(self.rows[:, :, k].reshape(-1))
            flat = values.reshape(-1, 1).astype(np.float32)
            return book.decode(book.encode(flat)).astype(np.float64).reshape(values.shape)

        return to_grid

    def error(self, values: Matrix) -> NDArray[np.float64]:
        """The mean squared output error of each row of the codebook (R,): the sum over the outputs that it is in."""
        difference = values - self.matrix
        return self._by_row(np.maximum(self.moments.energy(difference), 0))

    def rough_errors(self, codebooks: Sequence[AnyCodebook], *, compiled: bool) -> NDArray[np.float64]:
        """The same (B, R) of weights rounded to the nearest levels of each codebook, as if the inputs were independent
        of each other, which is soon computed; with `compiled` loops where all grids are uniform."""
        mean = self.moments.mean
        variance = self.moments.diagonal - mean**2
        uniform = [book for book in codebooks if isinstance(book, UniformCodebook)]
        if compiled and len(uniform) == len(codebooks):
            errors = self._rough_in_loops(uniform, variance, mean)
        else:
            errors = np.stack([self._rough(self.nearest(book) - self.matrix, variance, mean) for book in codebooks])
        return np.stack([self._by_row(one) for one in errors])

    @staticmethod
    def _rough(difference: Matrix, variance: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rough error of each output: (G, O)."""
        spread = np.einsum("gok,gok,gk->go", difference, difference, variance)
        rough: NDArray[np.float64] = spread + np.einsum("gok,gk->go", difference, mean) ** 2
        return rough

    def _rough_in_loops(
        self, books: Sequence[UniformCodebook], variance: NDArray[np.float64], mean: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The same of several codebooks: (B, G O)."""
        errors = np.empty((len(books), self.matrix.shape[0] * self.matrix.shape[1]))
        scales, qmax = np.stack([book.scale for book in books]), np.float32(books[0].qmax)
        weights, rows = (one.reshape(-1, one.shape[2]) for one in (self.matrix, self.rows))
        arrays = (np.require(one, requirements=["C", "A", "W"]) for one in (weights, rows, variance, mean))
        dispatch.run("nearest:nearest_errors", errors.shape[1], *arrays, scales, qmax, errors)
        return errors

    def gain(self, values: Matrix) -> NDArray[np.float64]:
        """The factor (R,) of each row's scale that makes its output error least: w H v / v H v, about 1."""
        found, wanted = map(self._by_row, self.moments.energies(values, self.matrix))
        usable = (wanted > 0) & (found > 0)
        return np.where(usable, wanted / np.where(usable, found, 1), 1.0)

    def _by_row(self, of_outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(int(self.shares[0].max()) + 1)
        np.add.at(total, self.shares[0], of_outputs.reshape(-1)[self.shares[1]])
        return total

    def restore(self, values: Matrix) -> NDArray[np.float32]:
        """Values (G, O, K) as rows (R, n) of the codebook."""
        return self.granularity.rows(from_weight_matrix(self.layer, values.astype(np.float32)))


def _shares(rows: NDArray[np.intp], granularity: Granularity) -> NDArray[np.intp]:
    outputs = np.arange(rows.shape[0] * rows.shape[1])
    if isinstance(granularity, PerBlock):
        blocks = rows.reshape(len(outputs), -1)[:, :: granularity.size]
        return np.stack([blocks.reshape(-1), outputs.repeat(blocks.shape[1])])
    return np.stack([rows[:, :, 0].reshape(-1), outputs])
