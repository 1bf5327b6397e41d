"""A model's graph without its large weights: small to convert, copy and load, and the weights are shared."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

LARGE = 1024
"""Elements from which a weight is left out: what reads a graph looks into small constants alone."""


@dataclass(frozen=True)
class Weightless:
    """A graph whose large float weights are marked as lying elsewhere, and these by name, unread."""

    proto: onnx.ModelProto
    weights: dict[str, ir.TensorProtocol]

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The weights as a `Session` takes them."""
        return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in self.weights.items()}


def weightless(model: ir.Model) -> Weightless:
    """The model's graph without its weights; while it is made, nobody else may look at the model."""
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
    """Put the weights of `model` where `converted`, made of its graph without them, says that they lie elsewhere."""
    for value in converted.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = model.graph.initializers[value.const_value.name].const_value


def _large(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Those that are used: ONNX Runtime drops the others before it looks for what lies elsewhere."""
    for value in model.graph.initializers.values():
        tensor, used = value.const_value, value.uses() or value.is_graph_output()
        large = tensor is not None and tensor.size > LARGE and tensor.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16)
        if tensor is not None and large and used:
            yield value, tensor
