"""The bytes that a weight takes in the exported file in each of its formats."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.export.storage import stored_bytes
from quant.graph.inventory import inventory
from quant.methods.registry import Grid
from quant.search.candidates import assemble
from quant.search.context import SearchContext
from quant.search.format_quantizer import FormatQuantizer
from quant.search.formats import WeightFormats
from quant.spec import Weights
from quant.weights.layers import QuantizedLayer, adapt_to_kernel
from quant.weights.placeholder import placeholder

ONE_LAYER = """<ir_version: 10, opset_import: ["": {opset}]>
net (float[1, 4, 1, 1] x) => (float[1, 4, 1, 1] y) <float[4, 4, 1, 1] w = {{{values}}}> {{ y = Conv (x, w) }}"""
"""A model of one layer, whose file shows the bytes of the nodes of a format."""
SHIFT_STEPS = 1 << 16
"""The range of the shifts of biases that are only stored to measure a file's size, in steps of the weights."""


def export_size(context: SearchContext, layers: Sequence[QuantizedLayer]) -> int:
    """Return the size in bytes that the exported file of the layers has at most.

    It counts a bias in every layer that bias correction may give one, and the rule of activation ranges with the
    largest file.
    """
    biases = {} if context.spec.bias_correction == "none" else _unequal_shifts(layers)
    opset = context.spec.export.opset
    options = context.range_options.values()
    models = (assemble(context.model, layers, option.ranges, biases, opset)[0] for option in options)
    return max(len(context.export(model)) for model in models)


def format_bytes(
    context: SearchContext, weights: Sequence[WeightFormats], quantizer: FormatQuantizer
) -> list[list[float]]:
    """Return the bytes of the file that each weight takes in each format.

    These are its codes, scales and tables, stored once for all layers that share the weight, the nodes of its format,
    and an equal part of all other bytes of the file with the widest formats. The sums come close to the sizes of files,
    which only their export tells.
    """
    opset = context.spec.export.opset
    stored: list[list[float]] = [[] for _ in weights]
    for number in range(max(len(weight.sections) for weight in weights)):
        layers = quantizer.placeholders([min(number, len(weight.sections) - 1) for weight in weights])
        for sizes, weight in zip(stored, layers, strict=True):
            sizes.append(float(stored_bytes(weight[0].quantized, weight[0].form, opset)))
    widest = [layer for weight in quantizer.placeholders([0] * len(weights)) for layer in weight]
    rest = (export_size(context, widest) - sum(sizes[0] for sizes in stored)) / len(weights)
    nodes: dict[tuple[int, Grid], float] = {}
    for section in (sections[0] for weight in weights for sections in weight.sections):
        if (section.bits, section.grid) not in nodes:
            nodes[section.bits, section.grid] = _node_bytes(context, section)
    return [
        [
            sizes[number] + rest + nodes[section.bits, section.grid] - nodes[first.bits, first.grid]
            for number, (section, *_) in enumerate(weight.sections)
        ]
        for weight, sizes in zip(weights, stored, strict=True)
        for first in (weight.sections[0][0],)
    ]


def _unequal_shifts(layers: Sequence[QuantizedLayer]) -> dict[str, NDArray[np.float64]]:
    """Return a shift of each layer's bias such that no two layers get equal codes, which would be stored once."""
    corrected = [quantized for quantized in layers if quantized.layer.output_axis is not None]
    return {
        quantized.layer.name: np.random.default_rng(number).uniform(0, SHIFT_STEPS, quantized.layer.output_channels)
        * float(quantized.quantized.scale.max())
        for number, quantized in enumerate(corrected)
    }


def _node_bytes(context: SearchContext, section: Weights) -> float:
    """Return the bytes of the file of a model of one layer, without its codes, scales and tables."""
    opset = context.spec.export.opset
    values = ", ".join("1" for _ in range(16))
    model = ir.from_onnx_text(ONE_LAYER.format(opset=opset, values=values))
    (layer,), _ = inventory(model)
    quantized = placeholder(layer, adapt_to_kernel(layer, section)[0], context.spec, 1)
    exported, _ = assemble(model, [quantized], {}, {}, opset)
    return len(context.export(exported)) - stored_bytes(quantized.quantized, quantized.form, opset)
