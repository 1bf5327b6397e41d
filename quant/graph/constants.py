"""Constants of a graph: reading the array behind a value, adding an initializer."""

import hashlib

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

LONGEST_NAME = 48


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor, which may not be read yet, of an initializer that no caller can override; None for anything else."""
    return None if value is None or value.is_graph_input() else value.const_value


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array behind an initializer that no caller can override; None for anything else."""
    tensor = constant_tensor(value)
    return None if tensor is None else tensor.numpy()


def shortened(name: str) -> str:
    """The name, or where it is long its beginning and a digest: some exporters join names to hundreds of characters."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 13]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def add_initializer(graph: ir.Graph, name: str, array: NDArray[np.generic] | ir.TensorProtocol) -> ir.Value:
    """A new initializer; a name that is taken gets a number, one that is long a shorter form."""
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
