"""The structure of a quantized model: its file with placeholders for the codes, which has the size of the job's file.

No size of a tensor depends on its values. So the file of a weight-only model has the size that a job's file has, and
ONNX Runtime fuses the same kernels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.export.ceilings import within_ceilings
from quant.export.compact import compact
from quant.export.serialize import stamp
from quant.graph.inventory import Layer
from quant.graph.operators import is_never_negative, is_rectifier
from quant.graph.placement import place
from quant.search.candidates import assemble
from quant.search.half_precision import set_float_types
from quant.spec import Spec, Weights
from quant.weights.blocks import has_zero_points
from quant.weights.granularity import Granularity, PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.layer_granularity import granularity_of
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import FittedWeight, QuantizedWeight, fit_weight, quantize_weight
from quant.weights.storage_form import has_static_range, storage_form

_NO_DIGEST = "0" * 64
"""Stands for the digest of the upload, which has as many digits."""


@dataclass(frozen=True)
class Structure:
    """The file of a quantized model whose codes, scales and ranges are placeholders.

    Attributes:
        layers: the layers with their placeholders.
        model: the float model.
        spec: the spec.
        corrected: the layers whose bias a job corrects.
    """

    layers: Sequence[QuantizedLayer]
    model: ir.Model
    spec: Spec
    corrected: frozenset[str]

    def file(self) -> bytes:
        """Return the bytes of the file."""
        shifts = {
            layer.layer.name: np.ones(layer.layer.output_channels)
            for layer in self.layers
            if layer.layer.name in self.corrected
        }
        ranges = _placeholder_ranges(self.model.graph, self.layers, self.spec)
        model, _ = assemble(self.model, self.layers, ranges, shifts, self.spec.export.opset)
        set_float_types(model, self.spec)
        if self.spec.allocates:
            compact(model, {layer.layer.name for layer in self.layers})
        return within_ceilings(stamp(model, self.spec, _NO_DIGEST), self.spec.export)


def placeholder(layer: Layer, section: Weights, spec: Spec, number: int) -> QuantizedLayer:
    """Return a quantized layer with the shapes of a job's codes, scales and levels, and arbitrary values.

    Args:
        layer: the layer.
        section: its section of the spec, adapted to its kernel.
        spec: the whole spec.
        number: a number below 2^15 that is the same for layers which share a weight, and differs for others: equal
            constants of different weights might be stored once.
    """
    form = storage_form(layer, section, spec)
    granularity = granularity_of(layer, section, form)
    rows = row_count(granularity, layer.shape)
    scale: NDArray[np.float32] = np.full(rows, 1 + number, np.float32)
    if isinstance(granularity, PerTensor):
        scale = scale.reshape(())
    elif isinstance(granularity, PerBlock | PerMatrixChannel):
        scale = granularity.restore_scale(scale, layer.shape)
    codes = np.zeros(layer.shape, np.int8)
    digits = [number >> digit & 1 for digit in range(15)]
    codes.reshape(-1)[: len(digits)] = digits[: codes.size]
    fitted, one_row = _one_row(section)
    levels = None if one_row.levels is None else np.tile(one_row.levels, (rows, 1)) * np.float32(1 + number)
    clip = np.full(rows, 1.0 + number)
    zero = scale.astype(np.int8) if isinstance(granularity, PerBlock) and has_zero_points(section) else None
    weight = QuantizedWeight(codes, scale, section.bits, granularity, clip, one_row.errors, levels, zero)
    float_bias = spec.export.bias == "float"
    return QuantizedLayer(layer, section, form, fitted, weight, seconds=0.0, float_bias=float_bias)


@cache
def _one_row(section: Weights) -> tuple[FittedWeight, QuantizedWeight]:
    """Return a row of numbers fitted and quantized by a section, which shows the number of levels."""
    fitted = fit_weight(np.linspace(-1, 1, 64, dtype=np.float32), PerTensor(), section)
    return fitted, quantize_weight(fitted, section, np.ones(1))


def row_count(granularity: Granularity, shape: tuple[int, ...]) -> int:
    """Return the number of rows, each with one scale, of a weight of this shape."""
    if isinstance(granularity, PerTensor):
        return 1
    if isinstance(granularity, PerChannel):
        return shape[granularity.axis]
    if isinstance(granularity, PerMatrixChannel):
        return granularity.row_count(shape)
    blocks = -(-shape[granularity.axis] // granularity.size)
    return math.prod(shape) // shape[granularity.axis] * blocks


def _placeholder_ranges(graph: ir.Graph, layers: Sequence[QuantizedLayer], spec: Spec) -> Mapping[str, ActivationRange]:
    """Return a range for every activation that a job quantizes, by the tensor's name.

    What is never negative has a range from zero, so that the same rectifiers become part of the rounding.
    """
    activations = spec.activations
    if activations is None:
        return {}
    placement = place(
        graph, [layer.layer for layer in layers if has_static_range(layer.layer, spec)], spec.exclude_operators
    )
    producers = {str(output.name): node for node in graph for output in node.outputs}

    def lowest(name: str) -> float:
        node = producers.get(name)
        return 0.0 if node is not None and (is_rectifier(node) or is_never_negative(node)) else -1.0

    source = {name: placement.ties.get(name, name) for name in placement.values}
    return {name: ActivationRange.of((lowest(source[name]), 1.0), activations) for name in placement.values}
