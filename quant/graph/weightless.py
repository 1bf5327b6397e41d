"""Weightless graphs: a model without its large weights, which is small to convert, copy and load."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

MIN_SIZE = 1025
"""Elements from which a weight is left out; code that reads a graph needs the values of small constants only."""


@dataclass(frozen=True)
class Weightless:
    """A graph whose large float weights are declared as external data, and these weights by name, not read yet."""

    proto: onnx.ModelProto
    weights: dict[str, ir.TensorProtocol]

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The weights by name, as `Session` expects them."""
        return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in self.weights.items()}


def weightless(model: ir.Model) -> Weightless:
    """Return the model's graph without its large weights.

    The model is changed during the call and restored at its end; no other thread may read it meanwhile.
    """
    large = list(_large(model))
    for value, tensor in large:
        value.const_value = ir.ExternalTensor(
            "weights",
            0,
            tensor.nbytes,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=str(value.name),
            base_dir="",
        )
    try:
        proto = ir.to_proto(model)
    finally:
        for value, tensor in large:
            value.const_value = tensor
    return Weightless(proto, {str(value.name): tensor for value, tensor in large})


def give_weights_back(converted: ir.Model, model: ir.Model) -> None:
    """Restore the weights of `model` in `converted`, which was converted from its weightless graph."""
    for value in converted.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = model.graph.initializers[value.const_value.name].const_value


def _large(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Yield the large float initializers that are used; ONNX Runtime drops the others before it reads external data."""
    for value in model.graph.initializers.values():
        tensor, used = value.const_value, value.uses() or value.is_graph_output()
        large = (
            tensor is not None and tensor.size >= MIN_SIZE and tensor.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16)
        )
        if tensor is not None and large and used:
            yield value, tensor
