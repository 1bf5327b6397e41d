"""What a layer's input looks like without any data: the moments that its BatchNormalization layers promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from scipy.special import ndtr

from quant.calibration.input_moments import MAX_INPUTS, InferredMoments
from quant.calibration.observers import session_with_outputs
from quant.errors import ModelError
from quant.graph.activation_sites import MIN_ACTIVE_SHARE, site_of
from quant.graph.constants import constant
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import Layer
from quant.graph.operators import (
    is_add,
    is_batchnorm,
    is_convolution,
    is_min,
    is_pad,
    is_rectifier,
    is_relu,
    is_slice,
    keeps_channel_moments,
)
from quant.graph.weightless import weightless

Channels = NDArray[np.float64]
POSITIONS = 4096
NEAR = 0.55
"""The correlation of a channel's neighbouring positions: 0.51 to 0.61 on average over the inputs of ResNets' and
MobileNets' kernels, 0.3 to 0.4 two positions apart."""


@dataclass(frozen=True)
class Normal:
    """Mean and variance of each channel of a tensor, (C,) each."""

    mean: Channels
    variance: Channels


def batchnorm_moments(model: ir.Model) -> dict[str, Normal]:
    """By tensor name: the output of a BatchNormalization in inference is about N(beta, gamma^2), channel by channel.

    Given for its input's name too, which is what folding leaves of it. What it keeps of a first convolution's outputs
    tells of the model's input. Requires: the model before `normalise`.
    """
    promises: dict[str, Normal] = {}
    for node in model.graph:
        if not is_batchnorm(node):
            continue
        gamma, beta = (constant(value) for value in node.inputs[1:3])
        if gamma is not None and beta is not None:
            normal = Normal(beta.astype(np.float64), gamma.astype(np.float64) ** 2)
            promises |= {str(node.inputs[0].name): normal, str(node.outputs[0].name): normal}  # type: ignore[union-attr]
            promises |= _input_promise(node)
    return promises


def _input_promise(norm: ir.Node) -> dict[str, Normal]:
    """The moments of a model's input by its name, from the statistics of the first convolution's outputs.

    Those means are A E[x] + b, with A the sums over each kernel's positions: E[x] by least squares where there are
    more outputs than inputs. One variance for all channels, the one that explains the outputs' best.
    """
    conv = norm.inputs[0].producer() if norm.inputs[0] is not None else None
    if conv is None or not is_convolution(conv) or conv.attributes.get_int("group", 1) != 1:
        return {}
    source = conv.inputs[0]
    border = source.producer() if source is not None else None
    if border is not None and is_pad(border):
        source = border.inputs[0]
    weight, bias = constant(conv.inputs[1]), constant(conv.inputs[2]) if len(conv.inputs) > 2 else np.zeros(())
    mean, variance = (constant(value) for value in norm.inputs[3:5])
    if source is None or source.producer() is not None or source.is_initializer():
        return {}
    if weight is None or bias is None or mean is None or variance is None or len(weight) <= weight.shape[1]:
        return {}
    exact = weight.astype(np.float64)
    taps = exact.reshape(*weight.shape[:2], -1).sum(axis=2)
    found = np.linalg.lstsq(taps, mean.astype(np.float64) - bias.astype(np.float64), rcond=1e-3)[0]
    energy = (exact.reshape(len(exact), -1) ** 2).sum(axis=1)
    spread = float(energy @ variance / max(float(energy @ energy), 1e-300))
    return {str(source.name): Normal(found, np.full(len(found), spread))}


def expected_tensors(model: ir.Model, promises: Mapping[str, Normal]) -> dict[str, Normal]:
    """The moments of every tensor that follows from the promises through Relu, Clip, Add, Conv, pooling, zeros beside
    the channels and what only leaves positions out."""
    known = {str(name): normal for name, normal in promises.items()}
    for node in model.graph:
        name = str(node.outputs[0].name)
        inputs = [known.get(str(value.name)) for value in node.inputs if value is not None]
        first = inputs[0] if inputs else None
        if first is None or name in known:
            continue
        if is_rectifier(node):
            bounds = _bounds(node)
            if bounds is not None:
                known[name] = clipped_normal(first, *bounds)
        elif is_min(node) and (relu := _rectified(node, known)) is not None:
            known[name] = relu
        elif is_add(node) and len(inputs) == 2 and inputs[1] is not None:
            known[name] = Normal(first.mean + inputs[1].mean, first.variance + inputs[1].variance)
        elif is_convolution(node) and (made := _convolved(node, first)) is not None:
            known[name] = made
        elif is_pad(node) and (wider := _with_more_channels(node, first)) is not None:
            known[name] = wider
        elif keeps_channel_moments(node) or (is_slice(node) and _leaves_channels(node)):
            known[name] = first
    return known


def rescaled(promises: Mapping[str, Normal], factors: Mapping[str, Channels]) -> dict[str, Normal]:
    """The promises of a model whose tensors were multiplied by `factors` (C,), by the tensor's name."""
    return {
        name: Normal(normal.mean * factors[name], normal.variance * factors[name] ** 2) if name in factors else normal
        for name, normal in promises.items()
    }


def clipped_normal(normal: Normal, lower: float | Channels, upper: float | Channels) -> Normal:
    """Moments of min(max(X, a), b) for X ~ N(mu, s^2), with z-scores A, B of a, b and Z = Phi(B) - Phi(A):

    E = s (phi(A) - phi(B)) + mu Z + a Phi(A) + b (1 - Phi(B)), and E X^2 likewise (Nagel et al., 2019, appendix C).
    """
    mean, deviation = normal.mean, np.sqrt(np.maximum(normal.variance, 1e-24))
    low, high = (lower - mean) / deviation, (upper - mean) / deviation
    mass, below, above = ndtr(high) - ndtr(low), ndtr(low), ndtr(-high)
    densities = [_density(z) for z in (low, high)]
    edges = [np.where(np.isinf(edge), 0.0, edge) for edge in (lower, upper)]  # of no mass where it is infinite
    first = deviation * (densities[0] - densities[1]) + mean * mass + edges[0] * below + edges[1] * above
    second = (
        (mean**2 + deviation**2) * mass
        + deviation * ((mean + edges[0]) * densities[0] - (mean + edges[1]) * densities[1])
        + edges[0] ** 2 * below
        + edges[1] ** 2 * above
    )
    return Normal(first, np.maximum(second - first**2, 0))


def expected_moments(
    model: ir.Model, layers: Sequence[Layer], promises: Mapping[str, Normal]
) -> dict[str, InferredMoments]:
    """The moments of the layers whose input is known, by name; independent channels, neighbours that go together, zeros
    beyond the borders.

    The mean is that of the mean image over all output positions: exact at the borders, where the plain channel means
    are off by up to a quarter on small maps.
    """
    tensors = expected_tensors(model, promises)
    names = {layer.name: str(layer.operand(layer.input_index).name) for layer in layers}
    known = [layer for layer in layers if names[layer.name] in tensors and layer.node.graph is model.graph]
    shapes = _shapes(model, sorted({names[layer.name] for layer in known}))
    moments: dict[str, InferredMoments] = {}
    for layer in known:
        normal, shape = tensors[names[layer.name]], shapes.get(names[layer.name])
        matrix = weight_matrix(layer, layer.weight)
        if shape is None or matrix is None or matrix.shape[2] > MAX_INPUTS or len(shape) < 2:
            continue
        if normal.mean.size != shape[1]:
            continue
        mean, variance = (input_rows(layer, _image(c, shape), POSITIONS, 0) for c in (normal.mean, normal.variance))
        square = mean.swapaxes(1, 2).astype(np.float64) @ mean / mean.shape[1]
        deviation = np.sqrt(variance.mean(axis=1, dtype=np.float64))
        square += deviation[:, :, None] * _related(layer, mean.shape[2]) * deviation[:, None, :]
        above = _above(layer, tensors)
        moments[layer.name] = InferredMoments(square, mean.mean(axis=1, dtype=np.float64), above)
    return moments


def _above(layer: Layer, tensors: Mapping[str, Normal]) -> Channels:
    """E[y | 0 < z < upper] - E[y] (C,) of a layer's output y where its activation reads z: y, or y plus a shortcut.

    Both normal, the two independent: Var[y] / s (phi(A) - phi(B)) / (Phi(B) - Phi(A)), A and B z-scores of the bounds.
    """
    site, own = site_of(layer), tensors.get(str(layer.node.outputs[0].name))
    read = own if site is None or site.total is None else tensors.get(site.total)
    if site is None or own is None or read is None:
        return np.zeros(1)
    deviation = np.sqrt(np.maximum(read.variance, 1e-24))
    upper = np.inf if site.upper is None else site.upper.astype(np.float64).reshape(-1)
    low, high = -read.mean / deviation, (upper - read.mean) / deviation
    mass = np.maximum(ndtr(high) - ndtr(low), MIN_ACTIVE_SHARE)
    above: Channels = own.variance / deviation * (_density(low) - _density(high)) / mass
    return above


def _density(z: Channels) -> Channels:
    density: Channels = np.exp(-np.minimum(z**2, 1400) / 2) / np.sqrt(2 * np.pi)
    return density


def _related(layer: Layer, width: int) -> NDArray[np.float64]:
    """The correlation (K, K) of what a layer's weights multiply: NEAR to the distance in a channel, else none."""
    kernel = layer.kernel if layer.operator.convolution else (1,)
    places = np.indices(kernel).reshape(len(kernel), -1)
    distance = np.sqrt(((places[:, :, None] - places[:, None, :]) ** 2).sum(axis=0))
    return np.kron(np.eye(width // len(distance)), NEAR**distance)


def _image(channels: Channels, shape: tuple[int, ...]) -> NDArray[np.float32]:
    shaped = channels.reshape(1, -1, *[1] * (len(shape) - 2)).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(shaped, (1, *shape[1:])))


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    if is_relu(node):
        return 0.0, np.inf
    given = [(value, constant(value)) for value in (*node.inputs[1:], None, None)[:2]]
    if any(value is not None and found is None for value, found in given):
        return None
    lower, upper = (None if found is None else float(found) for _, found in given)
    return -np.inf if lower is None else lower, np.inf if upper is None else upper


def _convolved(node: ir.Node, source: Normal) -> Normal | None:
    """The output of a Conv without a promise of its own: inputs independent of each other, no borders."""
    weight = constant(node.inputs[1])
    bias = np.zeros(()) if len(node.inputs) < 3 else constant(node.inputs[2])
    if weight is None or bias is None:
        return None
    groups = int(node.attributes.get_int("group", 1))
    if source.mean.size != weight.shape[1] * groups:
        return None
    split = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:3], int(np.prod(weight.shape[3:])))
    taps, squares = (matrix.reshape(*split.shape[:3], -1).sum(axis=-1) for matrix in (split, split**2))
    mean, variance = (
        np.einsum("goi,gi->go", matrix, moment.reshape(groups, -1)).reshape(-1)
        for matrix, moment in ((taps, source.mean), (squares, source.variance))
    )
    return Normal(mean + bias, variance)


def _with_more_channels(node: ir.Node, source: Normal) -> Normal | None:
    """Channels of zeros before and behind the others; None for any other border."""
    widths, filling = (constant(value) for value in (*node.inputs[1:3], None)[:2])
    zeros = node.attributes.get_string("mode", "constant") == "constant" and (filling is None or not filling.any())
    if widths is None or not zeros or len(node.inputs) > 3:
        return None
    borders = widths.astype(np.int64).reshape(2, -1)
    if (borders < 0).any() or np.delete(borders, 1, axis=1).any():
        return None
    return Normal(*(np.pad(moment, tuple(borders[:, 1])) for moment in (source.mean, source.variance)))


def _leaves_channels(node: ir.Node) -> bool:
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    return axes is not None and bool((axes.astype(np.int64) >= 2).all())


def _rectified(node: ir.Node, known: Mapping[str, Normal]) -> Normal | None:
    """The moments of Min(Relu(x), b) with b constant, channel by channel: what equalization leaves of a Clip."""
    source, bound = node.inputs[0], constant(node.inputs[1])
    relu = source.producer() if source is not None else None
    if relu is None or not is_relu(relu) or bound is None:
        return None
    normal = known.get(str(relu.inputs[0].name))  # type: ignore[union-attr]
    return None if normal is None else clipped_normal(normal, 0.0, bound.astype(np.float64).reshape(-1))


def _shapes(model: ir.Model, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The tensors' shapes for one sample; none where the model's inputs leave more open than the number of samples."""
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
    except ModelError:  # not every model runs on zeros, and these are ours
        return {}
    return {name: value.shape for name, value in zip(names, values, strict=True)}
