"""Second moments of layer inputs that are inferred from the moments of channels, without any data."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from scipy.special import ndtr

from quant.calibration.channel_moments import (
    MIN_VARIANCE,
    ChannelMoments,
    Channels,
    infer_tensor_moments,
    normal_density,
)
from quant.calibration.input_moments import MAX_INPUTS, InferredMoments
from quant.calibration.observers import session_with_outputs
from quant.errors import ModelError
from quant.graph.activation_sites import MIN_ACTIVE_SHARE, site_of
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import Layer
from quant.graph.weightless import weightless

POSITIONS = 4096
"""At most so many output positions of the mean image are used."""
NEIGHBOUR_CORRELATION = 0.55
"""The correlation of neighbouring positions of a channel. Measured on the inputs of kernels of ResNets and MobileNets:
0.51 to 0.61 on average, 0.3 to 0.4 two positions apart."""


def infer_input_moments(
    model: ir.Model, layers: Sequence[Layer], known: Mapping[str, ChannelMoments]
) -> dict[str, InferredMoments]:
    """Return the moments of the input of each layer, by the layer's name, where they follow from known tensors.

    Channels are taken to be independent, neighbouring positions of a channel to be correlated, and positions beyond the
    borders to be zero. The mean is that of the mean image over all output positions. It is exact at the borders, where
    the plain channel means are off by up to a quarter on small maps.

    Args:
        model: the normalised model.
        layers: layers of the model.
        known: channel moments of tensors by name, as `batchnorm_moments` returns them.
    """
    tensors = infer_tensor_moments(model, known)
    names = {layer.name: str(layer.operand(layer.input_index).name) for layer in layers}
    readable = [layer for layer in layers if names[layer.name] in tensors and layer.node.graph is model.graph]
    shapes = _shapes(model, sorted({names[layer.name] for layer in readable}))
    moments: dict[str, InferredMoments] = {}
    for layer in readable:
        channels, shape = tensors[names[layer.name]], shapes.get(names[layer.name])
        matrix = weight_matrix(layer, layer.weight)
        if shape is None or matrix is None or matrix.shape[2] > MAX_INPUTS or len(shape) < 2:
            continue
        if channels.mean.size == shape[1]:
            moments[layer.name] = _layer_moments(layer, channels, shape, _active_excess(layer, tensors))
    return moments


def _layer_moments(
    layer: Layer, channels: ChannelMoments, shape: tuple[int, ...], active_excess: Channels
) -> InferredMoments:
    """Return the moments of the rows that a layer's weights multiply, from the channel moments of its input."""
    mean, variance = (
        input_rows(layer, _image(moment, shape), POSITIONS, 0) for moment in (channels.mean, channels.variance)
    )
    square = mean.swapaxes(1, 2).astype(np.float64) @ mean / mean.shape[1]
    deviation = np.sqrt(variance.mean(axis=1, dtype=np.float64))
    square += deviation[:, :, None] * _correlation(layer, mean.shape[2]) * deviation[:, None, :]
    return InferredMoments(square, mean.mean(axis=1, dtype=np.float64), active_excess)


def _active_excess(layer: Layer, tensors: Mapping[str, ChannelMoments]) -> Channels:
    """Return E[y | 0 < z < upper] - E[y] (C,) for a layer's output y whose activation reads z: y, or y plus a shortcut.

    With y and the shortcut normal and independent, s^2 the variance of z, and A and B the z-scores of the bounds, this
    is

        Var[y] / s (phi(A) - phi(B)) / (Phi(B) - Phi(A)).
    """
    site, output = site_of(layer), tensors.get(str(layer.node.outputs[0].name))
    read = output if site is None or site.total is None else tensors.get(site.total)
    if site is None or output is None or read is None:
        return np.zeros(1)
    deviation = np.sqrt(np.maximum(read.variance, MIN_VARIANCE))
    upper = np.inf if site.upper is None else site.upper.astype(np.float64).reshape(-1)
    low, high = -read.mean / deviation, (upper - read.mean) / deviation
    mass = np.maximum(ndtr(high) - ndtr(low), MIN_ACTIVE_SHARE)
    excess: Channels = output.variance / deviation * (normal_density(low) - normal_density(high)) / mass
    return excess


def _correlation(layer: Layer, width: int) -> NDArray[np.float64]:
    """Return the correlation (K, K) of a layer's K = `width` inputs.

    Two positions of a channel at a distance d are correlated by NEIGHBOUR_CORRELATION^d; channels are not correlated.
    """
    kernel = layer.kernel if layer.operator.convolution else (1,)
    positions = np.indices(kernel).reshape(len(kernel), -1)
    distance = np.sqrt(((positions[:, :, None] - positions[:, None, :]) ** 2).sum(axis=0))
    return np.kron(np.eye(width // len(distance)), NEIGHBOUR_CORRELATION**distance)


def _image(channels: Channels, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a sample (1, C, ...) of this shape with the same value (C,) at every position of a channel."""
    shaped = channels.reshape(1, -1, *[1] * (len(shape) - 2)).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(shaped, (1, *shape[1:])))


def _shapes(model: ir.Model, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the named tensors for one sample; none if an input's size is open beyond the first axis."""
    feeds = {}
    for value in model.graph.inputs:
        sizes = list(value.shape or [])
        if value.dtype is None or not sizes or not all(isinstance(size, int) for size in sizes[1:]):
            return {}
        first = sizes[0] if isinstance(sizes[0], int) else 1
        feeds[str(value.name)] = np.zeros([first, *(int(str(size)) for size in sizes[1:])], value.dtype.numpy())
    if not names:
        return {}
    try:
        values = session_with_outputs(weightless(model), names).run(feeds, names)
    except ModelError:  # some models do not run on zeros; the zeros are not the user's data, so this is no error
        return {}
    return {name: value.shape for name, value in zip(names, values, strict=True)}
