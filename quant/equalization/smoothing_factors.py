"""Factors of smoothing: how strongly each input channel of linear layers is divided before it is quantized.

An input channel k is divided by s_k, and the weights that read it are multiplied by s_k, which leaves the outputs as
they are. Outliers then move from the activations, which share one scale, into the weights, whose channels have scales
of their own (Xiao et al., 2023, SmoothQuant, equation 4). For a model whose activations stay in float, the factors
protect the weights of the largest inputs instead (Lin et al., 2024, AWQ, equation 4).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.calibration.channel_inputs import ChannelInputs

Array = NDArray[np.float64]
Rows = NDArray[np.float32]

EXPONENTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of an input channel's size that move into the weights, tried one by one."""
LIMIT = 1e4
"""Factors stay between 1 / LIMIT and LIMIT; an input that would need more carries almost no signal."""


@dataclass(frozen=True)
class Precision:
    """The grids on which smoothed inputs and weights are rounded.

    Attributes:
        input_levels: the number of levels of an input's range; None if inputs stay in float.
        symmetric: True if the range of an input is symmetric about zero.
        weight_levels: the number of a weight's levels above zero.
        block: the number of inputs whose weights share a scale; 0 if a whole output channel does.
    """

    input_levels: int | None
    symmetric: bool
    weight_levels: int
    block: int


@dataclass(frozen=True)
class Smoothing:
    """The change of the K channels of a tensor: x' = (x - shift) / factor, with both (K,)."""

    factor: Array
    shift: Array


def choose_smoothing(
    inputs: ChannelInputs, weights: Sequence[Rows], precision: Precision, *, shifted: bool
) -> tuple[Smoothing, float]:
    """Return the smoothing with the least output error on the sample, and that error divided by the one without it.

    Args:
        inputs: the inputs of the layers.
        weights: the weights (K, N) of each layer that reads them.
        precision: the grids of inputs and weights.
        shifted: True if the channels' centres may be moved to zero, too (Wei et al., 2023, Outlier Suppression+).
    """
    outputs = [inputs.rows @ weight for weight in weights]
    channels = inputs.rows.shape[1]
    none = Smoothing(np.ones(channels), np.zeros(channels))
    plain = _error(inputs, weights, outputs, none, precision)
    best, least = none, plain
    for smoothing in _candidates(inputs, weights, precision, shifted=shifted):
        error = _error(inputs, weights, outputs, smoothing, precision)
        if error < least:
            best, least = smoothing, error
    return best, least / plain if plain > 0 else 1.0


def _candidates(
    inputs: ChannelInputs, weights: Sequence[Rows], precision: Precision, *, shifted: bool
) -> Iterator[Smoothing]:
    """Yield the factors of every exponent, without shifts and, where they are allowed, with them."""
    channels = inputs.rows.shape[1]
    largest_weight = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0).astype(np.float64)
    shifts = [np.zeros(channels)]
    if shifted and precision.input_levels is not None and not precision.symmetric:
        shifts.append((inputs.minimum + inputs.maximum) / 2)
    for shift in shifts:
        if precision.input_levels is None:
            size = np.abs(inputs.rows).mean(axis=0, dtype=np.float64)
        else:
            size = np.maximum(inputs.maximum - shift, shift - inputs.minimum)
        for exponent in EXPONENTS:
            yield Smoothing(_factors(size, largest_weight, exponent), shift)


def _factors(size: Array, largest_weight: Array, exponent: float) -> Array:
    """Return size^a / weight^(1 - a) (K,), with a geometric mean of 1; it is 1 for a channel without signal."""
    used = (size > 0) & (largest_weight > 0)
    if not used.any():
        return np.ones(len(size))
    logs = exponent * np.log(size[used]) - (1 - exponent) * np.log(largest_weight[used])
    factors = np.ones(len(size))
    factors[used] = np.clip(np.exp(logs - logs.mean()), 1 / LIMIT, LIMIT)
    return factors


def _error(
    inputs: ChannelInputs, weights: Sequence[Rows], outputs: Sequence[Rows], smoothing: Smoothing, precision: Precision
) -> float:
    """Return the sum over the layers of their output's relative error energy on the sample."""
    factor = smoothing.factor.astype(np.float32)
    rows = (inputs.rows - smoothing.shift.astype(np.float32)) / factor
    if precision.input_levels is not None:
        low = float(((inputs.minimum - smoothing.shift) / smoothing.factor).min())
        high = float(((inputs.maximum - smoothing.shift) / smoothing.factor).max())
        rows = _round_inputs(rows, min(low, 0.0), max(high, 0.0), precision)
    total = 0.0
    for weight, output in zip(weights, outputs, strict=True):
        rounded = _round_weights(weight * factor[:, None], precision)
        offset = smoothing.shift.astype(np.float32) @ weight
        difference = rows @ rounded + offset - output
        difference -= difference.mean(axis=0)  # a bias correction removes the mean
        energy = float(np.square(output, dtype=np.float64).sum())
        total += float(np.square(difference, dtype=np.float64).sum()) / energy if energy > 0 else 0.0
    return total


def _round_inputs(rows: Rows, low: float, high: float, precision: Precision) -> Rows:
    """Return the rows rounded to the levels of the range from `low` to `high`."""
    assert precision.input_levels is not None, "inputs in float are not rounded"
    steps = precision.input_levels - 1
    if precision.symmetric:
        scale = max(-low, high) / (steps // 2) or 1.0
        rounded: Rows = np.clip(np.rint(rows / scale), -(steps // 2), steps // 2) * np.float32(scale)
        return rounded
    scale = (high - low) / steps or 1.0
    zero = np.rint(-low / scale)
    codes: Rows = np.clip(np.rint(rows / scale) + zero, 0, steps)
    return (codes - np.float32(zero)) * np.float32(scale)


def _round_weights(weight: Rows, precision: Precision) -> Rows:
    """Return the weights (K, N) rounded to the levels of their channel or block, without clipping."""
    inputs, outputs = weight.shape
    size = precision.block or inputs
    padded = np.pad(weight, [(0, -inputs % size), (0, 0)]).reshape(-1, size, outputs)
    scale = np.abs(padded).max(axis=1, keepdims=True) / np.float32(precision.weight_levels)
    scale[scale == 0] = 1
    rounded: Rows = (np.rint(padded / scale) * scale).reshape(-1, outputs)[:inputs]
    return rounded
