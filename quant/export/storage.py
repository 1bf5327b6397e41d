"""How the codes of a weight are stored so that they load in ONNX Runtime and, where it matters, fuse."""

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer

_DTYPES = {8: np.dtype(np.int8), 4: np.dtype(ml_dtypes.int4)}


def dequantized_weight(
    graph: ir.Graph,
    before: ir.Node,
    name: str,
    codes: NDArray[np.int8],
    scale: NDArray[np.float32],
    *,
    bits: int,
    axis: int | None,
    storage: str,
) -> ir.Value:
    """A float value computed as `scale * codes` by nodes that are inserted before `before`.

    `fast` stores 4-bit codes as INT4 behind a Cast to INT8: ONNX Runtime folds the Cast when the session loads
    and then runs the INT8 kernels. `direct` dequantizes the stored type itself, as other consumers expect.

    Args:
        codes: integers of `bits` bits in int8, in the weight's own shape.
        scale: float32, () for the tensor or (C,) along `axis`.
    """
    source = add_initializer(graph, f"{name}_codes", codes.astype(_DTYPES[bits]))
    dtype = _DTYPES[bits]
    if bits < 8 and storage == "fast":
        cast = ir.Node("", "Cast", [source], [ir.AttrInt64("to", ir.DataType.INT8)], num_outputs=1, name=f"{name}_cast")
        cast.outputs[0].name = f"{name}_int8"
        graph.insert_before(before, cast)
        source, dtype = cast.outputs[0], np.dtype(np.int8)
    return dequantize_linear(graph, before, name, source, scale, np.zeros(scale.shape, dtype), axis)


def dequantize_linear(
    graph: ir.Graph,
    before: ir.Node,
    name: str,
    source: ir.Value,
    scale: NDArray[np.float32],
    zero_point: NDArray[np.generic],
    axis: int | None,
) -> ir.Value:
    """A DequantizeLinear of `source` inserted before `before`; its output is called `{name}_dequantized`."""
    inputs = [
        source,
        add_initializer(graph, f"{name}_scale", scale),
        add_initializer(graph, f"{name}_zero_point", zero_point),
    ]
    attributes = [ir.AttrInt64("axis", axis)] if axis is not None else []
    node = ir.Node("", "DequantizeLinear", inputs, attributes, num_outputs=1, name=f"{name}_dequantize")
    node.outputs[0].name = f"{name}_dequantized"
    node.outputs[0].dtype = ir.DataType.FLOAT
    graph.insert_before(before, node)
    return node.outputs[0]
