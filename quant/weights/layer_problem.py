"""The rounding problem of one layer: its weight as a matrix, the scale of each weight, and the cost of an error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import Moments, SecondMoments
from quant.calibration.synthetic_moments import SyntheticMoments
from quant.graph.im2col import from_weight_matrix, weight_matrix
from quant.graph.inventory import Layer
from quant.kernel import dispatch
from quant.methods.grids.codebook import AnyCodebook, Codebook, UniformCodebook
from quant.methods.rounding.base import Column, Matrix, RoundingBase, ToGrid
from quant.weights.granularity import Granularity, PerBlock


@dataclass(frozen=True)
class LayerProblem:
    """The rounding problem of one layer with G groups of O outputs and K inputs.

    Attributes:
        layer: The layer.
        weight: Its weight, or a part of it with some of its outputs.
        granularity: The weights that share a scale, which are a row of the codebook.
        matrix: The weights (G, O, K).
        rows: The row of the codebook that each weight belongs to (G, O, K).
        row_outputs: Pairs (2, P) of a row and an output, numbered g O + o, that has weights of this row.
        moments: Moments of the layer's inputs.
    """

    layer: Layer
    weight: NDArray[np.float32]
    granularity: Granularity
    matrix: Matrix
    rows: NDArray[np.intp]
    row_outputs: NDArray[np.intp]
    moments: Moments

    @classmethod
    def from_layer(
        cls, layer: Layer, granularity: Granularity, moments: Moments, weight: NDArray[np.float32] | None = None
    ) -> "LayerProblem":
        """Return the problem of a layer whose weight has a matrix form, as every layer with moments has.

        `weight` is a part of the layer's weight with some of its outputs; None for all of it.
        """
        weight = layer.weight if weight is None else weight
        row_numbers = granularity.rows(np.zeros(weight.shape, np.intp))
        row_numbers += np.arange(len(row_numbers))[:, None]
        matrix = weight_matrix(layer, weight)
        rows = weight_matrix(layer, granularity.restore(row_numbers, weight.shape))
        assert matrix is not None, "a layer with moments has a matrix"
        assert rows is not None, "an array of the weight's shape has a matrix, too"
        return cls(layer, weight, granularity, matrix, rows, _row_outputs(rows, granularity), moments)

    @property
    def hessian(self) -> NDArray[np.float64]:
        """The second moments E[x x^T] (G, K, K); requires that they are known, not only a sample of inputs."""
        assert isinstance(self.moments, SecondMoments), "a rounding that needs second moments runs only with them"
        return self.moments.square

    def repeat(self, times: int) -> "LayerProblem":
        """Return the problem with its weights repeated, each copy with rows of its own.

        A rounding of the repeated problem tries one codebook for each copy in the same pass.
        """
        count = int(self.rows.max()) + 1
        rows = np.concatenate([self.rows + number * count for number in range(times)], axis=1)
        matrix = np.tile(self.matrix, (1, times, 1))
        return replace(self, matrix=matrix, rows=rows, row_outputs=_row_outputs(rows, self.granularity))

    def nearest(self, codebook: AnyCodebook) -> Matrix:
        """Return the level nearest to each weight (G, O, K), float32."""
        rows = self.granularity.rows(self.weight)
        values = self.granularity.restore(codebook.decode(codebook.encode(rows)), self.weight.shape)
        matrix = weight_matrix(self.layer, values)
        assert matrix is not None, "an array of the weight's shape has a matrix"
        return matrix

    def rounded(self, rounding: RoundingBase, codebook: AnyCodebook) -> Matrix:
        """Return the levels (G, O, K) that a rounding chooses.

        By synthetic inputs, an output is rounded otherwise than to nearest only if its error falls on each kind.
        """
        values = rounding.round(self, codebook)
        if not isinstance(self.moments, SyntheticMoments) or not rounding.needs_moments:
            return values
        nearest = self.nearest(codebook)
        errors, plain = (self.moments.energies_by_kind(levels - self.matrix) for levels in (values, nearest))
        better: NDArray[np.bool_] = np.logical_and.reduce(errors < plain)
        return np.where(better[:, :, None], values, nearest)

    def to_grid(self, codebook: AnyCodebook) -> ToGrid:
        """Return the function that rounds values (G, O) of the weights of input k to the nearest levels."""
        if isinstance(self.granularity, PerBlock):
            return self._to_grid_of_blocks(codebook)
        book = codebook.select_rows(self.rows[:, :, 0].reshape(-1))  # all weights of an output are in one row
        if isinstance(book, Codebook):
            return _to_nearest_levels(book)

        def to_grid(values: Column, k: int) -> Column:
            flat = values.reshape(-1, 1).astype(np.float32)
            rounded: Column = book.decode(book.encode(flat)).astype(np.float64).reshape(values.shape)
            return rounded

        return to_grid

    def _to_grid_of_blocks(self, codebook: AnyCodebook) -> ToGrid:
        """Return the function that rounds the weights of an input, whose rows depend on the input."""

        def to_grid(values: Column, k: int) -> Column:
            book = codebook.select_rows(self.rows[:, :, k].reshape(-1))
            flat = values.reshape(-1, 1).astype(np.float32)
            rounded: Column = book.decode(book.encode(flat)).astype(np.float64).reshape(values.shape)
            return rounded

        return to_grid

    def error(self, values: Matrix) -> NDArray[np.float64]:
        """Return the mean squared output error of each row (R,) if the weights become `values` (G, O, K).

        The error of a row is the sum over the outputs that have weights of it.
        """
        difference = values - self.matrix
        return self._sum_by_row(np.maximum(self.moments.energy(difference), 0))

    def independent_errors(self, codebooks: Sequence[AnyCodebook], *, compiled: bool) -> NDArray[np.float64]:
        """Return the output error of each of B codebooks and each row (B, R), as if inputs were independent.

        Weights go to their nearest levels. With d the rounding errors of an output, its error is

            sum_k d_k^2 Var[x_k] + (sum_k d_k E[x_k])^2,

        which takes much less time than the exact error. Compiled loops are used if `compiled` and all grids are
        uniform.
        """
        mean = self.moments.mean
        variance = self.moments.diagonal - mean**2
        uniform = [book for book in codebooks if isinstance(book, UniformCodebook)]
        if compiled and len(uniform) == len(codebooks):
            errors = self._compiled_independent_errors(uniform, variance, mean)
        else:
            differences = (self.nearest(book) - self.matrix for book in codebooks)
            errors = np.stack([_independent_error(difference, variance, mean) for difference in differences])
        return np.stack([self._sum_by_row(error) for error in errors])

    def gain(self, values: Matrix) -> NDArray[np.float64]:
        """Return the factor (R,) of each row's scale that minimises its output error.

        With the weights W, the values V and the moments H, the factor is w H v / v H v, summed over the row's outputs;
        it is about 1, and 1 where it would not be positive.
        """
        energy, product = map(self._sum_by_row, self.moments.energies(values, self.matrix))
        usable = (product > 0) & (energy > 0)
        return np.where(usable, product / np.where(usable, energy, 1), 1.0)

    def restore(self, values: Matrix) -> NDArray[np.float32]:
        """Return values (G, O, K) as rows (R, n) of the codebook."""
        return self.granularity.rows(from_weight_matrix(self.layer, values.astype(np.float32), self.weight.shape))

    def _compiled_independent_errors(
        self, books: Sequence[UniformCodebook], variance: NDArray[np.float64], mean: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the error of each output as if inputs were independent, (B, G O), by a compiled loop."""
        errors = np.empty((len(books), self.matrix.shape[0] * self.matrix.shape[1]))
        scales, qmax = np.stack([book.scale for book in books]), np.float32(books[0].qmax)
        weights, rows = (array.reshape(-1, array.shape[2]) for array in (self.matrix, self.rows))
        arrays = (np.require(array, requirements=["C", "A", "W"]) for array in (weights, rows, variance, mean))
        dispatch.run("nearest:nearest_errors", errors.shape[1], *arrays, scales, qmax, errors)
        return errors

    def _sum_by_row(self, of_outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum (R,) of the outputs' values over the outputs of each row."""
        rows, outputs = self.row_outputs
        total = np.zeros(int(rows.max()) + 1)
        np.add.at(total, rows, of_outputs.reshape(-1)[outputs])
        return total


def _to_nearest_levels(book: Codebook) -> ToGrid:
    """Return the function that rounds each of R values to the levels of its row, as `encode` and `decode` do.

    For a single column, the comparison with all edges at once takes less time than one pass for each of them.
    """
    numbers, levels = np.arange(len(book.levels)), book.levels.astype(np.float32).astype(np.float64)

    def to_grid(values: Column, k: int) -> Column:
        indices = np.count_nonzero(values.reshape(-1, 1).astype(np.float32) > book.edges, axis=1)
        rounded: Column = levels[numbers, indices].reshape(values.shape)
        return rounded

    return to_grid


def _independent_error(
    difference: Matrix, variance: NDArray[np.float64], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the error of each output (G, O) as if inputs were independent, from rounding errors (G, O, K)."""
    noise = np.einsum("gok,gok,gk->go", difference, difference, variance)
    error: NDArray[np.float64] = noise + np.einsum("gok,gk->go", difference, mean) ** 2
    return error


def _row_outputs(rows: NDArray[np.intp], granularity: Granularity) -> NDArray[np.intp]:
    """Return the pairs (2, P) of a row and an output that has weights of it."""
    outputs = np.arange(rows.shape[0] * rows.shape[1])
    if isinstance(granularity, PerBlock):
        blocks = rows.reshape(len(outputs), -1)[:, :: granularity.size]
        return np.stack([blocks.reshape(-1), outputs.repeat(blocks.shape[1])])
    return np.stack([rows[:, :, 0].reshape(-1), outputs])
