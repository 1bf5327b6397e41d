"""Constants of a graph: reading the array of an initializer, and adding an initializer."""

import hashlib

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

MAX_NAME = 48
"""Characters of a name; some exporters join names to hundreds of characters."""


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer without reading its data; None for any other value.

    An initializer that is also a graph input does not count: a caller can override it.
    """
    return None if value is None or value.is_graph_input() else value.const_value


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """Return the array of an initializer that no caller can override; None for any other value."""
    tensor = constant_tensor(value)
    return None if tensor is None else tensor.numpy()


def shortened(name: str) -> str:
    """Return the name, or the beginning and a digest of a name longer than `MAX_NAME`."""
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 13]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def add_initializer(graph: ir.Graph, name: str, array: NDArray[np.generic] | ir.TensorProtocol) -> ir.Value:
    """Add an initializer to the graph and return it; its name is shortened, and numbered if it is taken."""
    base = shortened(name)
    unique, number = base, 1
    while unique in graph.initializers:
        unique, number = f"{base}_{number}", number + 1
    tensor = ir.Tensor(np.asarray(array)) if isinstance(array, np.ndarray | np.generic) else array
    tensor.name = unique
    value = ir.Value(
        name=unique, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
    )
    graph.register_initializer(value)
    return value
