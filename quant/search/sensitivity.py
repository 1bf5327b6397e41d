"""The sensitivity of a model's output to the quantization of single weights, each quantized alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.evaluation.metrics import output_energies
from quant.graph.biases import Shifts
from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.progress import SampleProgress
from quant.runtime import Session
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded

SAMPLES = 32
"""Samples that are run for each weight: an error's energy is a mean over many values, so few samples suffice."""


@dataclass(frozen=True)
class Sensitivity:
    """Energies at the model's outputs, summed over the same samples.

    `signal` is the energy of the outputs that can be compared as quantities, `noise` the energy of the error that each
    named change causes alone. For a model without such outputs they are numbers of values and of changed values.
    """

    signal: float
    noise: Mapping[str, float]


def can_be_changed(layer: Layer, model: ir.Model) -> bool:
    """Return True if the layer's weight can become an input: not in the body of an If, a Loop or a Scan."""
    return layer.node.graph is model.graph


def measure_sensitivity(
    model: ir.Model,
    changes: Mapping[str, Sequence[QuantizedLayer]],
    shifts: Shifts,
    samples: Dataset,
    progress: SampleProgress,
) -> Sensitivity:
    """Return the error of each named change alone; every change costs one run of the model over a few samples.

    Args:
        model: the float model. It stays unchanged.
        changes: by name, the layers whose weights are replaced by their quantized values. All of them
            `can_be_changed`.
        shifts: what is added to each channel of a changed layer's output, by the layer's name.
        samples: the set from which the samples are taken.
        progress: receives the samples completed.

    Raises:
        ModelError: the model does not run on the samples.
    """
    layers = [quantized.layer for change in changes.values() for quantized in change]
    copy, shift_names = _model_with_weight_inputs(model, layers)
    session = Session(copy, "the float model", fold_weights=True)
    replacements = {name: _replacements(change, shifts, shift_names) for name, change in changes.items()}
    signal, noise = 0.0, dict.fromkeys(changes, 0.0)
    for batch in samples.spread(SAMPLES).watched(progress):
        expected = session.run(batch)
        signal += output_energies(expected, expected)[0]
        for name, feeds in replacements.items():
            noise[name] += output_energies(expected, session.run({**batch, **feeds}))[1]
    return Sensitivity(signal, noise)


def _replacements(
    change: Sequence[QuantizedLayer], shifts: Shifts, shift_names: Mapping[str, str]
) -> dict[str, NDArray[np.float32]]:
    """Return the feeds that replace the weights of a change and shift its layers' outputs."""
    weights = {quantized.layer.weight_name: decoded(quantized.quantized) for quantized in change}
    layers = [quantized.layer for quantized in change]
    shifted = [layer for layer in layers if layer.name in shifts and layer.output_axis is not None]
    return weights | {shift_names[layer.name]: _along_channels(layer, shifts[layer.name]) for layer in shifted}


def _model_with_weight_inputs(model: ir.Model, layers: Sequence[Layer]) -> tuple[bytes, dict[str, str]]:
    """Return a copy of the model in which the layers' weights, and shifts of their outputs, are optional inputs.

    The second value is the name of each shift by the layer's name.
    """
    copy = model.clone()
    names, shift_names = Names.of(copy.graph), {}
    nodes = {node.name: node for node in copy.graph}
    for layer in {layer.name: layer for layer in layers}.values():
        weight = copy.graph.initializers[layer.weight_name]
        if not weight.is_graph_input():
            copy.graph.inputs.append(weight)
        if layer.output_axis is not None:
            shift_names[layer.name] = _add_shift_input(copy.graph, layer, nodes[layer.name], names)
    return ir.to_proto(copy).SerializeToString(), shift_names


def _add_shift_input(graph: ir.Graph, layer: Layer, node: ir.Node, names: Names) -> str:
    """Add an input to the graph that is added to the output of the layer's `node`, and return its name.

    The input is zero unless it is fed.
    """
    zeros = _along_channels(layer, np.zeros(layer.output_channels))
    shift = add_initializer(graph, f"{layer.name}/shift", zeros, names)
    graph.inputs.append(shift)
    output = node.outputs[0]
    add = ir.Node("", "Add", [output, shift], num_outputs=1, name=names.node(f"{layer.name}/shifted"))
    add.outputs[0].name = names.value(f"{layer.name}/shifted")
    output.replace_all_uses_with(add.outputs[0], replace_graph_outputs=True)
    add.replace_input_with(0, output)
    graph.insert_after(node, add)
    return str(shift.name)


def _along_channels(layer: Layer, values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the values (C,) in a shape that broadcasts along the channels of the layer's output."""
    values_of_channels = values.astype(np.float32)
    if layer.operator.spatial:
        return values_of_channels.reshape(1, -1, *[1] * (layer.weight.ndim - 2))
    return values_of_channels
