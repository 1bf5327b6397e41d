"""Names under which ONNX Runtime executes the layers of a model."""

from collections.abc import Iterator

import onnx_ir as ir

from quant.graph.inventory import Layer, inventory
from quant.graph.uses import only_use

MAX_FUSED = 3
"""The nodes after a layer that a kernel may compute with it, such as an addition and a Relu."""


def executed_names(model: ir.Model) -> dict[str, tuple[str, str]]:
    """Return the name and the operator of the layer to which an executed node belongs, by the beginning of its name.

    ONNX Runtime derives the name of an executed node from a name in the model. These are the names of the layer's node
    and weight, of its output, and of the outputs after it that a fused kernel may write. The names of all other nodes
    lead to an empty name and operator. A node with several weights counts as the layer of its first weight.
    """
    layers, _ = inventory(model)
    names = {str(node.name): ("", "") for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    by_node = {layer.node: layer for layer in reversed(layers)}
    for layer in by_node.values():
        names[str(layer.node.name)] = (layer.name, layer.op)
    for layer in layers:
        names.setdefault(layer.weight_name, (by_node[layer.node].name, layer.op))
    for distance in range(MAX_FUSED + 1):  # an output belongs to the closest layer before it
        for layer in by_node.values():
            for position, output in enumerate(_outputs(layer)):
                if position == distance:
                    names.setdefault(output, (layer.name, layer.op))
    return names


def _outputs(layer: Layer) -> Iterator[str]:
    """Yield the name of the layer's output, then those of the outputs that are computed from it alone."""
    node: ir.Node | None = layer.node
    for _ in range(MAX_FUSED + 1):
        if node is None:
            return
        yield str(node.outputs[0].name)
        node, _index = only_use(node.outputs[0])
