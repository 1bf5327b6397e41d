"""Reconstruction of one layer: a rounding and a bias for the inputs that the quantized model gives the layer.

With the inputs x of the layer in the float model and x' in the quantized model, the weights W are rounded for the
target

    T = W + a W E[(x - x') x'^T] (E[x' x'^T] + d I)^-1,

which makes up for a share a of what quantization changed in the inputs (GPTAQ: Li et al., 2025; Qronos: Zhang et al.,
2025). See docs/methods.md, 'Reconstruction'.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import SecondMoments
from quant.calibration.moment_observer import FEW_ROWS_PER_INPUT
from quant.calibration.shrinkage import shrink_covariance
from quant.graph.activation_sites import MIN_ACTIVE_SHARE
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import Layer
from quant.weights.layer_problem import LayerProblem
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import codebook_of, decoded, encode_weight

COMPENSATED = 0.5
"""The share of the change of the inputs that the weights make up for. With all of it, ResNet20 at 0.10 of its size has
16.7 instead of 17.4 dB on evaluation images, and a ResNet8 18.8 instead of 19.1: the change is known from few rows."""
RIDGE = 0.01
"""The number that is added to the moments' diagonal, relative to its mean, before they are inverted."""
BIAS_STEPS = 3
"""The number of corrections of a bias: each correction changes which positions are active."""


@dataclass(frozen=True)
class LayerRows:
    """The inputs and outputs of a layer at n positions, in the float and in the quantized model.

    Attributes:
        inputs: the rows (G, n, K) that the layer multiplies in the float model.
        quantized_inputs: the same rows in the quantized model.
        outputs: the layer's output (n, C) in the float model, or the sum of it and a shortcut that an activation reads.
        drift: the difference (n, C) of the shortcut in the quantized and in the float model; None without a shortcut.
        bounds: the lower and the upper bound of the activation, each a number or (C,); infinite without one.
    """

    inputs: NDArray[np.float32]
    quantized_inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    drift: NDArray[np.float32] | None
    bounds: tuple[NDArray[np.float32], NDArray[np.float32]]

    @cached_property
    def moments(self) -> SecondMoments:
        """The second moments of the rows in the quantized model, shrunk where there are few rows."""
        rows = self.quantized_inputs
        square = rows.swapaxes(1, 2) @ rows / np.float64(rows.shape[1])
        moments = SecondMoments(square, rows.mean(axis=1, dtype=np.float64))
        return shrink_covariance(moments, rows) if self.are_few else moments

    @property
    def are_few(self) -> bool:
        """True if there are too few rows to tell how the inputs changed."""
        _, count, width = self.inputs.shape
        return bool(count <= FEW_ROWS_PER_INPUT * width)

    def differences(self, layer: Layer, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs (n, C) with quantized weights in the quantized model, less those in the float model.

        The bias of the layer is the same in both.
        """
        difference = _products(layer, self.quantized_inputs, weight) - _products(layer, self.inputs, layer.weight)
        return difference if self.drift is None else difference + self.drift

    def activated(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs (n, C) behind the activation."""
        return np.clip(outputs, *self.bounds)


def round_again(layer: QuantizedLayer, rows: LayerRows) -> QuantizedLayer:
    """Return the layer with levels of the same grid chosen for its inputs in the quantized model, scales refitted.

    Requires: a scale for each channel or for the whole weight, and a rounding that uses moments.
    """
    moments, section, before = rows.moments, layer.spec, layer.quantized
    problem = LayerProblem.from_layer(layer.layer, before.granularity, moments)
    if not rows.are_few:
        problem = replace(problem, matrix=_target(problem.matrix, rows, moments))
    codebook = codebook_of(before, section)
    values = section.rounding.round(problem, codebook)
    gain = problem.gain(values)
    levels = problem.restore(values) * gain[:, None].astype(np.float32)
    codebook, clip = codebook.scaled(gain), before.clip * gain
    integer = layer.form.reads_integers
    return replace(layer, quantized=encode_weight(layer.fitted, section, clip, codebook, levels, integer=integer))


def bias_shift(layer: QuantizedLayer, rows: LayerRows) -> NDArray[np.float64]:
    """Return what to add to the bias of each channel (C,), so that the mean behind the activation is the float one's.

    As in measured bias correction, it is the mean difference over the positions where either side is active.
    """
    low, high = rows.bounds
    difference = rows.differences(layer.layer, decoded(layer.quantized))
    expected = rows.activated(rows.outputs)
    active = (rows.outputs > low) & (rows.outputs < high)
    shift = np.zeros(difference.shape[1])
    for _ in range(BIAS_STEPS):
        actual = rows.outputs + difference + shift.astype(np.float32)
        share = np.maximum((active | ((actual > low) & (actual < high))).mean(axis=0), MIN_ACTIVE_SHARE)
        shift += (expected - rows.activated(actual)).mean(axis=0, dtype=np.float64) / share
    return shift


def relative_error(layer: QuantizedLayer, shift: NDArray[np.float64], rows: LayerRows) -> float:
    """Return the energy of the error behind the activation as a fraction of the float output's energy there.

    Args:
        layer: the quantized layer.
        shift: what is added to the bias of each channel (C,).
        rows: the inputs and the outputs.
    """
    difference = rows.differences(layer.layer, decoded(layer.quantized)) + shift.astype(np.float32)
    expected = rows.activated(rows.outputs)
    noise = np.square(rows.activated(rows.outputs + difference) - expected).sum(dtype=np.float64)
    signal = np.square(expected).sum(dtype=np.float64)
    return float(noise / signal) if signal > 0 else float(noise)


def _target(matrix: NDArray[np.floating], rows: LayerRows, moments: SecondMoments) -> NDArray[np.float64]:
    """Return the weights (G, O, K) that make up for a share of the change of the inputs."""
    change = rows.inputs - rows.quantized_inputs
    product = change.swapaxes(1, 2) @ rows.quantized_inputs / np.float64(change.shape[1])
    ridge = RIDGE * moments.diagonal.mean(axis=1) + np.finfo(np.float32).tiny
    lifted = moments.square + ridge[:, None, None] * np.eye(product.shape[2])
    solved: NDArray[np.float64] = np.linalg.solve(lifted, (matrix @ product).swapaxes(1, 2)).swapaxes(1, 2)
    return matrix + COMPENSATED * solved


def _products(layer: Layer, rows: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products (n, C) of rows (G, n, K) and a weight in the layer's own shape."""
    matrix = weight_matrix(layer, weight)
    assert matrix is not None, "a layer that is rounded by moments has a matrix"
    products: NDArray[np.float32] = rows @ matrix.swapaxes(1, 2)
    return np.moveaxis(products, 0, 1).reshape(rows.shape[1], -1)
