"""Constants of a graph: reading the array of an initializer, and adding an initializer."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.names import Names, shortened


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer without reading its data; None for any other value.

    An initializer that is also a graph input does not count: a caller can override it.
    """
    return None if value is None or value.is_graph_input() else value.const_value


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """Return the array of an initializer that no caller can override; None for any other value."""
    tensor = constant_tensor(value)
    return None if tensor is None else tensor.numpy()


def add_initializer(
    graph: ir.Graph, name: str, array: NDArray[np.generic] | ir.TensorProtocol, names: Names
) -> ir.Value:
    """Add an initializer to the graph and return it; its name is shortened, and numbered if it is taken."""
    tensor = ir.Tensor(np.asarray(array)) if isinstance(array, np.ndarray | np.generic) else array
    tensor.name = names.value(shortened(name))
    value = ir.Value(
        name=tensor.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
    )
    graph.register_initializer(value)
    return value
