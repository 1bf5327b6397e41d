"""A layer's weight as a matrix (G, O, K), and its input as the rows (G, n, K) that the matrix multiplies."""

import numpy as np
from numpy.typing import NDArray

from quant.graph.inventory import Layer
from quant.graph.matrix_form import Scalar, draw


def weight_matrix(layer: Layer, array: NDArray[Scalar]) -> NDArray[Scalar] | None:
    """Return an array of the weight's shape as (G, O, K): O outputs of each of G groups, each a sum over K products.

    None for a weight that is no such matrix: a batch of matrices, a recurrent weight, an embedding.
    """
    form = layer.weight_operand.matrix_form
    return None if form is None else form.matrix(layer.node, array, layer.axis)


def from_weight_matrix(layer: Layer, matrix: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
    """Return a matrix (G, O, K) in the shape of the weight, or of a part of it: the inverse of `weight_matrix`."""
    positions = weight_matrix(layer, np.arange(matrix.size).reshape(shape))
    assert positions is not None, "the layer has no matrix form"
    flat = np.empty(matrix.size, matrix.dtype)
    flat[positions.reshape(-1)] = matrix.reshape(-1)
    return flat.reshape(shape)


def input_rows(layer: Layer, value: NDArray[np.float32], limit: int, seed: int) -> NDArray[np.float32]:
    """Return at most `limit` of the rows (G, n, K) that the weight matrix multiplies in one batch, drawn by `seed`.

    Requires: a layer with a matrix form.
    """
    form = layer.weight_operand.matrix_form
    assert form is not None, "the layer has no matrix form"
    return form.rows(layer.node, layer.kernel, value, limit, seed)


def output_rows(layer: Layer, value: NDArray[np.float32], limit: int, seed: int) -> NDArray[np.float32]:
    """Return the outputs (n, C) at the positions whose rows `input_rows` draws with the same limit and seed.

    Requires: a layer whose output has an axis of channels and a position for each row of its input.
    """
    assert layer.output_axis is not None, "the output has no axis of channels"
    rows = np.moveaxis(value, layer.output_axis, -1).reshape(-1, value.shape[layer.output_axis])
    return rows[draw(len(rows), limit, seed)]
