"""Channel moments that the parameters and statistics of BatchNormalization imply, without any data."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.channel_moments import ChannelMoments, Channels
from quant.graph.constants import constant
from quant.graph.operators import is_batchnorm, is_convolution, is_pad


def batchnorm_moments(model: ir.Model) -> dict[str, ChannelMoments]:
    """Return the moments that each BatchNormalization implies, by tensor name.

    In inference its output is about N(beta, gamma^2) in each channel (Nagel et al., 2019). These moments are returned
    for its input's name too, because folding leaves that tensor in its place. The statistics of a first convolution's
    outputs also imply moments of the model's input. Requires a model before `normalise`.
    """
    moments: dict[str, ChannelMoments] = {}
    for node in model.graph:
        if not is_batchnorm(node):
            continue
        gamma, beta = (constant(value) for value in node.inputs[1:3])
        if gamma is not None and beta is not None:
            output = ChannelMoments(beta.astype(np.float64), gamma.astype(np.float64) ** 2)
            moments |= {str(node.inputs[0].name): output, str(node.outputs[0].name): output}  # type: ignore[union-attr]
            moments |= _model_input_moments(node)
    return moments


def _model_input_moments(norm: ir.Node) -> dict[str, ChannelMoments]:
    """Return the moments of a model's input by its name, if `norm` follows the convolution that reads the input."""
    conv = norm.inputs[0].producer() if norm.inputs[0] is not None else None
    if conv is None or not is_convolution(conv) or conv.attributes.get_int("group", 1) != 1:
        return {}
    source = conv.inputs[0]
    border = source.producer() if source is not None else None
    if border is not None and is_pad(border):
        source = border.inputs[0]
    if source is None or source.producer() is not None or source.is_initializer():
        return {}
    weight, bias = constant(conv.inputs[1]), constant(conv.inputs[2]) if len(conv.inputs) > 2 else np.zeros(())
    mean, variance = (constant(value) for value in norm.inputs[3:5])
    if weight is None or bias is None or mean is None or variance is None or len(weight) <= weight.shape[1]:
        return {}
    exact_mean = mean.astype(np.float64) - bias.astype(np.float64)
    return {str(source.name): _solve_input(weight.astype(np.float64), exact_mean, variance)}


def _solve_input(
    weight: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.generic]
) -> ChannelMoments:
    """Return the moments of a convolution's input that explain those of its outputs.

    The outputs' means less the bias are A E[x], where A sums each kernel over its positions: E[x] is the least-squares
    solution, which needs more outputs than inputs. All channels get the one variance that explains the outputs'
    variances best.

    Args:
        weight: the kernels (O, I, ...).
        mean: the means of the outputs, less the bias (O,).
        variance: the variances of the outputs (O,).
    """
    sums = weight.reshape(*weight.shape[:2], -1).sum(axis=2)
    solution: Channels = np.linalg.lstsq(sums, mean, rcond=1e-3)[0]
    energy = (weight.reshape(len(weight), -1) ** 2).sum(axis=1)
    spread = float(energy @ variance / max(float(energy @ energy), 1e-300))
    return ChannelMoments(solution, np.full(len(solution), spread))
