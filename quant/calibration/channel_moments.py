"""Channel moments: mean and variance of each channel of a tensor, inferred from one operator to the next."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from scipy.special import ndtr

from quant.graph.constants import constant
from quant.graph.operators import (
    is_add,
    is_convolution,
    is_min,
    is_pad,
    is_rectifier,
    is_relu,
    is_slice,
    keeps_channel_moments,
)

Channels = NDArray[np.float64]
"""One value for each channel (C,)."""
MIN_VARIANCE = 1e-24
"""Smaller variances are raised to this one, so that z-scores stay finite."""


@dataclass(frozen=True)
class ChannelMoments:
    """Mean and variance of each channel of a tensor, (C,) each; the values are taken to be normal."""

    mean: Channels
    variance: Channels


def infer_tensor_moments(model: ir.Model, known: Mapping[str, ChannelMoments]) -> dict[str, ChannelMoments]:
    """Return the moments of all tensors that follow from those of known tensors, the known ones included.

    Moments pass through Relu, Clip, Add of two known tensors, Conv, pooling, a Pad that adds channels of zeros, and
    operators that only leave out positions. Tensors are taken to be independent of each other.
    """
    moments = {str(name): channels for name, channels in known.items()}
    for node in model.graph:
        name = str(node.outputs[0].name)
        if name not in moments and (inferred := _output_moments(node, moments)) is not None:
            moments[name] = inferred
    return moments


def scale_moments(moments: Mapping[str, ChannelMoments], factors: Mapping[str, Channels]) -> dict[str, ChannelMoments]:
    """Return the moments after tensors were multiplied by `factors`, which holds (C,) by the tensor's name."""
    return {
        name: ChannelMoments(channels.mean * factors[name], channels.variance * factors[name] ** 2)
        if name in factors
        else channels
        for name, channels in moments.items()
    }


def clip_moments(moments: ChannelMoments, lower: float | Channels, upper: float | Channels) -> ChannelMoments:
    """Return the moments of min(max(X, a), b) for X ~ N(mu, s^2).

    With A and B the z-scores of the bounds a and b, and Z = Phi(B) - Phi(A),

        E[min(max(X, a), b)] = s (phi(A) - phi(B)) + mu Z + a Phi(A) + b (1 - Phi(B)),

    and the second moment likewise (Nagel et al., 2019, appendix C).
    """
    mean, deviation = moments.mean, np.sqrt(np.maximum(moments.variance, MIN_VARIANCE))
    low, high = (lower - mean) / deviation, (upper - mean) / deviation
    mass, below, above = ndtr(high) - ndtr(low), ndtr(low), ndtr(-high)
    densities = [normal_density(z) for z in (low, high)]
    bounds = [np.where(np.isinf(bound), 0.0, bound) for bound in (lower, upper)]  # nothing lies beyond an infinite one
    first = deviation * (densities[0] - densities[1]) + mean * mass + bounds[0] * below + bounds[1] * above
    second = (
        (mean**2 + deviation**2) * mass
        + deviation * ((mean + bounds[0]) * densities[0] - (mean + bounds[1]) * densities[1])
        + bounds[0] ** 2 * below
        + bounds[1] ** 2 * above
    )
    return ChannelMoments(first, np.maximum(second - first**2, 0))


def normal_density(z: Channels) -> Channels:
    """Return the standard normal density phi(z) of z-scores (C,)."""
    density: Channels = np.exp(-np.minimum(z**2, 1400) / 2) / np.sqrt(2 * np.pi)
    return density


def _output_moments(node: ir.Node, moments: Mapping[str, ChannelMoments]) -> ChannelMoments | None:
    """Return the moments of a node's output; None if they do not follow from those of its inputs."""
    inputs = [moments.get(str(value.name)) for value in node.inputs if value is not None]
    source = inputs[0] if inputs else None
    if source is None:
        return None
    if is_rectifier(node):
        bounds = _clip_bounds(node)
        return None if bounds is None else clip_moments(source, *bounds)
    if is_min(node):
        return _after_relu_and_min(node, moments)
    if is_add(node):
        other = inputs[1] if len(inputs) == 2 else None
        return None if other is None else ChannelMoments(source.mean + other.mean, source.variance + other.variance)
    if is_convolution(node):
        return _after_convolution(node, source)
    if is_pad(node):
        return _after_channel_padding(node, source)
    return source if keeps_channel_moments(node) or (is_slice(node) and _keeps_all_channels(node)) else None


def _clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """Return the lower and the upper bound of a Relu or Clip; None if one is not constant."""
    if is_relu(node):
        return 0.0, np.inf
    bounds = [(value, constant(value)) for value in (*node.inputs[1:], None, None)[:2]]
    if any(value is not None and bound is None for value, bound in bounds):
        return None
    lower, upper = (None if bound is None else float(bound) for _, bound in bounds)
    return -np.inf if lower is None else lower, np.inf if upper is None else upper


def _after_relu_and_min(node: ir.Node, moments: Mapping[str, ChannelMoments]) -> ChannelMoments | None:
    """Return the moments of Min(Relu(x), b) with a constant b for each channel, which equalization makes of a Clip."""
    source, bound = node.inputs[0], constant(node.inputs[1])
    relu = source.producer() if source is not None else None
    if relu is None or not is_relu(relu) or bound is None:
        return None
    before = moments.get(str(relu.inputs[0].name))  # type: ignore[union-attr]
    return None if before is None else clip_moments(before, 0.0, bound.astype(np.float64).reshape(-1))


def _after_convolution(node: ir.Node, source: ChannelMoments) -> ChannelMoments | None:
    """Return the moments of a Conv's output, for independent inputs and without borders."""
    weight = constant(node.inputs[1])
    bias = np.zeros(()) if len(node.inputs) < 3 else constant(node.inputs[2])
    if weight is None or bias is None:
        return None
    groups = int(node.attributes.get_int("group", 1))
    if source.mean.size != weight.shape[1] * groups:
        return None
    split = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:3], int(np.prod(weight.shape[3:])))
    sums, squares = (kernel.reshape(*split.shape[:3], -1).sum(axis=-1) for kernel in (split, split**2))
    mean, variance = (
        np.einsum("goi,gi->go", matrix, moment.reshape(groups, -1)).reshape(-1)
        for matrix, moment in ((sums, source.mean), (squares, source.variance))
    )
    return ChannelMoments(mean + bias, variance)


def _after_channel_padding(node: ir.Node, source: ChannelMoments) -> ChannelMoments | None:
    """Return the moments after a Pad with channels of zeros; None for any other border."""
    widths, value = (constant(operand) for operand in (*node.inputs[1:3], None)[:2])
    zeros = node.attributes.get_string("mode", "constant") == "constant" and (value is None or not value.any())
    if widths is None or not zeros or len(node.inputs) > 3:
        return None
    borders = widths.astype(np.int64).reshape(2, -1)
    if (borders < 0).any() or np.delete(borders, 1, axis=1).any():
        return None
    return ChannelMoments(*(np.pad(moment, tuple(borders[:, 1])) for moment in (source.mean, source.variance)))


def _keeps_all_channels(node: ir.Node) -> bool:
    """Return True for a Slice that only cuts spatial axes."""
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    return axes is not None and bool((axes.astype(np.int64) >= 2).all())
