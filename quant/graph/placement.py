"""Placement: the activations that get a QuantizeLinear and a DequantizeLinear, so that integer kernels are found."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from quant.graph.constants import constant
from quant.graph.inventory import Layer
from quant.graph.operators import computes_with_own_scales, is_pad, is_rectifier, is_resize, moves_values
from quant.graph.uses import only_use


@dataclass(frozen=True)
class Placement:
    """The names of the values to quantize, in graph order.

    `ties` maps some of them to the value whose scale they share.
    """

    values: tuple[str, ...]
    ties: dict[str, str]

    @property
    def observed(self) -> list[str]:
        """The values whose range must be measured."""
        return [name for name in self.values if name not in self.ties]


def place(
    graph: ir.Graph, layers: Sequence[Layer], excluded: Collection[str] = (), in_float: Collection[str] = ()
) -> Placement:
    """Return the values to quantize around the layers and between them.

    These are the inputs and outputs of the layers, and the outputs of nodes between them that an integer kernel takes.
    An output of the model stays in float, unless the kernel of the layer that computes it writes integers only.

    Args:
        graph: the graph of the model.
        layers: the layers that compute with integers.
        excluded: the operators without a weight whose nodes stay in float.
        in_float: the outputs that stay in float unless a layer reads them.
    """
    takes = _Kernels(frozenset(excluded))
    stays = {*in_float, *(str(value.name) for value in graph.outputs)}
    layer_of = {layer.node: layer for layer in layers}
    layer_inputs = {str(layer.operand(layer.input_index).name) for layer in layers}
    values = dict.fromkeys(str(value.name) for value in graph.inputs if str(value.name) in layer_inputs)
    ties: dict[str, str] = {}
    for node in graph:
        output = fused_output(node)
        name = str(output.name)
        layer = layer_of.get(node)
        if layer is not None:
            if name in layer_inputs or not layer.operator.writes_float:
                values[name] = None
        elif takes.shared_scale(node) and output is node.outputs[0] and _are_quantized(node.inputs[:1], values):
            source = str(node.inputs[0].name)  # type: ignore[union-attr]
            if not output.is_graph_output():
                values[name], ties[name] = None, ties.get(source, source)
        elif takes.own_scales(node) and _are_quantized(node.inputs, values) and name not in stays:
            values[name] = None
        values |= dict.fromkeys(str(value.name) for value in node.outputs if str(value.name) in layer_inputs)
    return Placement(tuple(values), ties)


def fused_output(node: ir.Node) -> ir.Value:
    """Return the node's first output, or the output of a Relu or Clip with constant bounds that alone reads it."""
    output = node.outputs[0]
    reader, _ = only_use(output)
    if reader is None or not is_rectifier(reader):
        return output
    fuses = all(bound is None or constant(bound) is not None for bound in reader.inputs[1:])
    return reader.outputs[0] if fuses else output


@dataclass(frozen=True)
class _Kernels:
    """The integer kernels that nodes without a weight may use: none for `excluded` operators."""

    excluded: frozenset[str]

    def shared_scale(self, node: ir.Node) -> bool:
        """Return True if a kernel takes the node whose output has the scale of its first input."""
        return _shares_scale(node) and not self._excludes(node)

    def own_scales(self, node: ir.Node) -> bool:
        """Return True if a kernel takes the node whose output has a scale of its own."""
        return computes_with_own_scales(node) and not self._excludes(node)

    def _excludes(self, node: ir.Node) -> bool:
        return bool(self.excluded.intersection((node.op_type,)))


def _shares_scale(node: ir.Node) -> bool:
    """Return True if an integer kernel copies elements of the first input, or adds zeros or means of neighbours."""
    if is_pad(node) and node.attributes.get_string("mode", "constant") == "constant":
        filling = node.inputs[2] if len(node.inputs) > 2 else None
        value = constant(filling)
        return filling is None or (value is not None and not value.any())
    if is_resize(node):
        return node.attributes.get_string("mode", "nearest") in ("nearest", "linear")
    return moves_values(node)


def _are_quantized(inputs: Iterable[ir.Value | None], values: dict[str, None]) -> bool:
    return all(value is not None and str(value.name) in values for value in inputs)
