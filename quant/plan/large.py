"""The size of a quantized model that is too large to be held as a whole: the sum of its tensors."""

from collections.abc import Sequence

import onnx_ir as ir

from quant.export.data_file import ALIGNMENT, MAX_INLINE_BYTES
from quant.export.storage import stored_bytes
from quant.weights.layers import QuantizedLayer


def size_by_sum(model: ir.Model, layers: Sequence[QuantizedLayer], opset: int) -> int:
    """Return the bytes of all tensors of the quantized model, each large one at the next aligned offset.

    The graph itself, which has a few kB, is left out.

    Args:
        model: the normalised float model; no weight of it is read.
        layers: its quantized layers.
        opset: the opset of the quantized model.
    """
    weights = {layer.layer.operand(layer.layer.weight_index): layer for layer in layers}
    total = sum(_aligned(stored_bytes(layer.quantized, layer.form, opset)) for layer in weights.values())
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if value not in weights and value.const_value is not None:
                total += _aligned(value.const_value.nbytes)
    return total


def _aligned(size: int) -> int:
    """Return the bytes that a tensor takes in the data file; a small one stays in the model."""
    return size if size <= MAX_INLINE_BYTES else -(-size // ALIGNMENT) * ALIGNMENT
