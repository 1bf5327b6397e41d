"""The granularity of a layer's weight: the scales that the spec asks for, along every axis that the form allows."""

import math

from quant.graph.inventory import Layer
from quant.graph.matrix_form import group_count
from quant.spec import Weights
from quant.weights.granularity import Granularity, PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.storage_form import StorageForm

MIN_WEIGHTS_PER_LEVEL = 4
"""The weights per level of a float codebook that a channel of one matrix needs to get its own codebook. With fewer, the
codebooks would be as large as the weights."""


def granularity_of(layer: Layer, section: Weights, form: StorageForm) -> Granularity:
    """Return the granularity of the layer's weight by its section of the spec.

    Args:
        layer: the layer.
        section: the layer's section of the spec.
        form: the form in which the weight is stored.
    """
    if section.granularity == "tensor":
        return PerTensor()
    if section.granularity == "block":
        axis = layer.block_axis
        assert axis is not None, "only layers with an axis of blocks have blocks"
        return PerBlock(axis, section.block_size)
    granularity = _channels(layer, form)
    floats = form is StorageForm.FOLDED and not section.grid.integer_levels
    if isinstance(granularity, PerMatrixChannel) and floats:
        length = layer.size // granularity.row_count(layer.shape)
        if length < MIN_WEIGHTS_PER_LEVEL * 2**section.bits:
            return PerChannel(layer.axis)
    return granularity


def _channels(layer: Layer, form: StorageForm) -> PerChannel | PerMatrixChannel:
    """Return a granularity with one scale for each output channel of each matrix in a stack, or of each group.

    A single DequantizeLinear cannot hold one scale for each group and channel of a ConvTranspose. In the direct form
    the groups therefore share the scales of their channels, unless each group has one input and one output channel.
    """
    shape = layer.shape
    if layer.weight_operand.stacked and math.prod(shape[:-2]) > 1:
        return PerMatrixChannel(tuple(sorted((*range(len(shape) - 2), layer.axis))))
    groups = group_count(layer.node) if layer.operator.grouped_outputs else 1
    if groups == 1:
        return PerChannel(layer.axis)
    if groups == shape[0] and shape[1] == 1:
        return PerChannel(0)
    return PerChannel(layer.axis) if form is StorageForm.DIRECT else PerMatrixChannel((0, 2), groups)
