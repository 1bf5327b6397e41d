"""Storage of float constants as float16, which a Cast makes float32 when the model is loaded."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.export.float16 import LEAST, MAX, StoredHalves
from quant.export.qdq import tidy
from quant.graph.constants import add_initializer, constant
from quant.graph.expressions import is_constant_expression
from quant.graph.names import Names
from quant.graph.operators import is_dequantize, is_quantize

MIN_SIZE = 64
"""The elements of the smallest constant that is stored as float16: below, the Cast takes as many bytes as it saves."""


def store_as_float16(model: ir.Model) -> StoredHalves:
    """Store the float32 constants of the model as float16, in place, and return their errors.

    Scales of quantized values, constants from which others are computed, and constants beyond the range of float16
    stay as they are.
    """
    stored = StoredHalves()
    names = Names.of(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in list(graph.initializers.values()):
            array = constant(value)
            if array is not None and _pays(value, array):
                _store(graph, value, stored.round(array), names)
    tidy(model)
    return stored


def _pays(value: ir.Value, array: NDArray[np.generic]) -> bool:
    """Return True if a constant can be stored as float16, and the file becomes smaller by that."""
    if array.dtype != np.float32 or array.size < MIN_SIZE or value.is_graph_output():
        return False
    largest = float(np.abs(array).max())
    if not np.isfinite(largest) or largest > MAX or 0 < largest < LEAST:
        return False
    readers = [use.node for use in value.uses()]
    scales = any(is_quantize(node) or is_dequantize(node) for node in readers)
    return bool(readers) and not scales and not any(is_constant_expression(node.outputs[0]) for node in readers)


def _store(graph: ir.Graph, value: ir.Value, halves: NDArray[np.float16], names: Names) -> None:
    """Let the readers of a constant read a Cast of its float16 values."""
    source = add_initializer(graph, f"{value.name}_float16", halves, names)
    output = ir.Value(
        name=names.value(f"{value.name}_float32"), type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape
    )
    name = names.node(f"{value.name}_cast")
    cast = ir.Node("", "Cast", [source], [ir.AttrInt64("to", ir.DataType.FLOAT)], outputs=[output], name=name)
    value.replace_all_uses_with(output)
    graph.insert_before(graph[0], cast)
