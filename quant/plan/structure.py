"""The structure of a quantized model: its file with placeholders for the codes, which has the size of the job's file.

No size of a tensor depends on its values. So the file of a weight-only model has the size that a job's file has, and
ONNX Runtime fuses the same kernels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant.calibration.activation_ranges import ActivationRange
from quant.export.ceilings import within_ceilings
from quant.export.compact import compact
from quant.export.serialize import stamp
from quant.graph.operators import is_never_negative, is_rectifier
from quant.graph.placement import place
from quant.search.candidates import assemble
from quant.search.half_precision import set_float_types
from quant.spec import Spec
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import has_static_range

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
