"""The quantized values of an exported model, as the rules of machines read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant, constant_tensor
from quant.graph.operators import (
    Operator,
    WeightOperand,
    is_constant,
    is_dequantize,
    is_quantize,
    operator_of,
    rearranges_weight,
)
from quant.runtime import Session
from quant.spec.profiles import MachineLimits

_MAX_NODES = 8
"""Nodes that are searched between a layer and its stored codes."""


@dataclass(frozen=True)
class Violation:
    """A value or node that a machine does not take: its name, the fault, and what would be accepted."""

    name: str
    detail: str
    accepted: str


@dataclass(frozen=True)
class Codes:
    """The codes that a QuantizeLinear writes or a DequantizeLinear reads.

    Attributes:
        dtype: the type of the codes.
        scale: the scales.
        zero_point: the zero points; 0 if the node has none.
    """

    dtype: str
    scale: NDArray[np.float64]
    zero_point: NDArray[np.int64]

    @classmethod
    def of(cls, node: ir.Node) -> "Codes | None":
        """Return the codes of a QuantizeLinear or DequantizeLinear; None if its scale is no constant."""
        scale = constant(node.inputs[1])
        zero = constant_tensor(node.inputs[2]) if len(node.inputs) > 2 else None
        integer = node.inputs[0] if is_dequantize(node) else node.outputs[0]
        dtype = zero.dtype if zero is not None else None if integer is None else integer.dtype
        if scale is None:
            return None
        points = np.zeros((), np.int64) if zero is None else zero.numpy().astype(np.int64)
        return cls("uint8" if dtype is None else str(dtype).lower(), scale.astype(np.float64), points)


@dataclass(frozen=True)
class StoredWeight:
    """A quantized weight of a node.

    Attributes:
        node: the node that reads it.
        operator: the properties of its operator.
        operand: the properties of the operand.
        codes: its codes; None if no DequantizeLinear computes it.
        stored: True if the DequantizeLinear reads the codes from the file.
        source: the codes that the DequantizeLinear reads; None if there is none, or if its result is rearranged.
        per: the weights that share a scale: `tensor`, `channel` or `block`.
    """

    node: ir.Node
    operator: Operator
    operand: WeightOperand
    codes: Codes | None
    stored: bool
    source: ir.Value | None
    per: str

    @property
    def name(self) -> str:
        """The name of the layer."""
        return f"{self.node.name}{self.operand.suffix}"

    @property
    def _graph(self) -> ir.Graph:
        graph = self.node.graph
        assert isinstance(graph, ir.Graph), "normalised models have no functions"
        return graph

    def array(self) -> NDArray[np.generic] | None:
        """Return the codes in the weight's shape, computed where they are not stored; None if they are unknown."""
        if self.stored or self.source is None:
            return constant(self.source)
        graph = ir.convenience.extract(self._graph, [], [self.source])
        (codes,) = Session(ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()).run({})
        return codes

    @property
    def has_quantized_input(self) -> bool:
        """True if a DequantizeLinear computes the layer's input."""
        return is_dequantized_activation(self.node.inputs[self.operand.input_index])


@dataclass(frozen=True)
class QuantizedGraph:
    """An exported model.

    Attributes:
        model: the model.
        limits: the limits of the machine that it is checked for.
    """

    model: ir.Model
    limits: MachineLimits

    @cached_property
    def nodes(self) -> tuple[ir.Node, ...]:
        """All nodes, those of bodies included."""
        return tuple(ir.traversal.RecursiveGraphIterator(self.model.graph))

    @cached_property
    def activations(self) -> Mapping[str, Codes]:
        """The codes of each quantized activation, by the name of the float tensor."""
        written = (
            (str(node.inputs[0].name), Codes.of(node)) for node in self.nodes if is_quantize(node) and node.inputs[0]
        )
        return {name: codes for name, codes in written if codes is not None}

    @cached_property
    def weights(self) -> tuple[StoredWeight, ...]:
        """The quantized weights of all layers."""
        return tuple(weight for node in self.nodes for weight in _weights_of(node))

    @cached_property
    def biases(self) -> Mapping[str, str]:
        """The form of the bias, `int32` or `float`, of each layer that has one and a quantized weight and input."""
        layers = [weight for weight in self.weights if weight.has_quantized_input]
        forms = ((weight.name, bias_form(weight)) for weight in layers)
        return {name: form for name, form in forms if form is not None}


def is_dequantized_activation(value: ir.Value | None) -> bool:
    """Return True if a DequantizeLinear computes the value from what is no constant."""
    producer = None if value is None else value.producer()
    return producer is not None and is_dequantize(producer) and constant_tensor(producer.inputs[0]) is None


def bias_form(weight: StoredWeight) -> str | None:
    """Return the form of a layer's bias operand; None if there is no bias."""
    bias = weight.operator.bias(weight.node)
    if bias is None:
        return None
    producer = bias.producer()
    return "int32" if producer is not None and is_dequantize(producer) else "float"


def _weights_of(node: ir.Node) -> Iterator[StoredWeight]:
    """Yield the quantized weights of a node."""
    operator = operator_of(node)
    if operator is None:
        return
    for operand in operator.weights:
        value = node.inputs[operand.index] if operand.index < len(node.inputs) else None
        dequantize, tensor = _source(value)
        if tensor is None or not tensor.dtype.is_integer() or len(tensor.shape) < 1:
            continue
        if dequantize is None:
            yield StoredWeight(node, operator, operand, None, stored=False, source=None, per="")
            continue
        stored = constant_tensor(dequantize.inputs[0]) is not None
        source = dequantize.inputs[0] if dequantize.outputs[0] is value else None
        yield StoredWeight(node, operator, operand, Codes.of(dequantize), stored, source, _per(dequantize))


def _source(value: ir.Value | None) -> tuple[ir.Node | None, ir.TensorProtocol | None]:
    """Return the DequantizeLinear that computes a weight, if there is one, and the constant that it starts from."""
    dequantize = None
    for _ in range(_MAX_NODES):
        tensor = constant_tensor(value)
        producer = None if value is None else value.producer()
        if tensor is not None or producer is None or is_constant(producer):
            return dequantize, tensor
        if is_dequantize(producer):
            dequantize = producer
        elif not rearranges_weight(producer):
            return dequantize, None
        value = producer.inputs[0]
    return dequantize, None


def _per(dequantize: ir.Node) -> str:
    """Return the weights that share a scale of a DequantizeLinear."""
    scale = constant_tensor(dequantize.inputs[1])
    if dequantize.attributes.get_int("block_size", 0):
        return "block"
    return "channel" if scale is not None and scale.size > 1 else "tensor"
