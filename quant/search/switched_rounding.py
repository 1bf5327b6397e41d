"""Rounding of a tensor that an optional input of the model switches on."""

import numpy as np
import onnx_ir as ir

from quant.calibration.activation_ranges import ActivationRange
from quant.graph.constants import add_initializer
from quant.graph.names import Names


def add_switched_rounding(graph: ir.Graph, value: ir.Value, activation: ActivationRange, names: Names) -> str:
    """Let the readers of a tensor read it rounded to its range where a new input is true, and return the input's name.

    The input is false unless it is fed. An If keeps the rounding from costing time where it is off.
    """
    base = str(value.name)
    switch = add_initializer(graph, f"{base}/rounded", np.array(False), names)
    graph.inputs.append(switch)
    scale = add_initializer(graph, f"{base}/switched_scale", np.asarray(activation.scale), names)
    zero_point = add_initializer(graph, f"{base}/switched_zero_point", np.asarray(activation.zero_point), names)
    quantize = _node("QuantizeLinear", [value, scale, zero_point], f"{base}/switched_quantize", names)
    dequantize = _node(
        "DequantizeLinear", [quantize.outputs[0], scale, zero_point], f"{base}/switched_dequantize", names
    )
    copy = _node("Identity", [value], f"{base}/unrounded", names)
    rounded = ir.Graph([], dequantize.outputs, nodes=[quantize, dequantize], name=names.node(f"{base}/on"))
    unrounded = ir.Graph([], copy.outputs, nodes=[copy], name=names.node(f"{base}/off"))
    branches = [ir.AttrGraph("then_branch", rounded), ir.AttrGraph("else_branch", unrounded)]
    choice = ir.Node("", "If", [switch], branches, num_outputs=1, name=names.node(f"{base}/switch"))
    output = choice.outputs[0]
    output.name, output.type, output.shape = names.value(f"{base}/switched"), value.type, value.shape
    inside = {quantize, copy}
    for use in tuple(value.uses()):
        if use.node not in inside:
            use.node.replace_input_with(use.idx, output)
    producer = value.producer()
    assert producer is not None, "an input of the model is not rounded by a switch"
    graph.insert_after(producer, choice)
    return str(switch.name)


def _node(operator: str, inputs: list[ir.Value], name: str, names: Names) -> ir.Node:
    """Return a node with one named output."""
    node = ir.Node("", operator, inputs, num_outputs=1, name=names.node(name))
    node.outputs[0].name = names.value(name)
    return node
