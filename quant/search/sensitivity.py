"""What each layer's quantization alone does to the model's output: its weight is changed, all others stay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.graph.biases import Shifts
from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.runtime import Session
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded

SAMPLES = 32
"""Samples that are run for each layer: the energy of an error is the mean of many values, and needs few samples."""


@dataclass(frozen=True)
class IsolatedErrors:
    """The energy of the float model's outputs and, by what was changed, that of their differences; same samples."""

    signal: float
    noise: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Each change's part of all energies (MATH.md F.5: these add up to about that of all changes at once)."""
        total = sum(self.noise.values())
        return {name: noise / total if total > 0 else 0.0 for name, noise in self.noise.items()}


def can_be_changed(layer: Layer, model: ir.Model) -> bool:
    """A weight in the body of an If, Loop or Scan cannot be reached from outside."""
    return layer.node.graph is model.graph


def isolated_errors(
    model: ir.Model,
    changes: Mapping[str, Sequence[QuantizedLayer]],
    shifts: Shifts,
    samples: Dataset,
    progress: Callable[[int, int], None],
) -> IsolatedErrors:
    """The error of each named change by itself: the layers that it lists with their quantized weights, and with
    `shifts` added to their outputs' channels. Takes one run of the float model a change, on a few samples.

    Requires: every layer `can_be_changed`.

    Raises:
        ModelError: the model does not run on the samples.
    """
    layers = [done.layer for change in changes.values() for done in change]
    session = Session(_open_model(model, layers), "the float model", fold_weights=True)
    feeds = {name: _feeds(change, shifts) for name, change in changes.items()}
    few = samples.spread(SAMPLES)
    signal, noise = 0.0, dict.fromkeys(changes, 0.0)
    for batch in few.watched(progress):
        expected = _floats(session.run(batch))
        signal += sum(float(x @ x) for x in expected)
        for name, changed in feeds.items():
            actual = _floats(session.run({**batch, **changed}))
            noise[name] += sum(float((x - y) @ (x - y)) for x, y in zip(expected, actual, strict=True))
    return IsolatedErrors(signal, noise)


def _feeds(change: Sequence[QuantizedLayer], shifts: Shifts) -> dict[str, NDArray[np.float32]]:
    feeds = {done.layer.weight_name: decoded(done.quantized) for done in change}
    shifted = [done.layer for done in change if done.layer.name in shifts and done.layer.output_axis is not None]
    return feeds | {_shift_name(layer): _along_channels(layer, shifts[layer.name]) for layer in shifted}


def _open_model(model: ir.Model, layers: Sequence[Layer]) -> bytes:
    """The model with its layers' weights, and shifts of zero behind the layers, as inputs that may be fed."""
    copy = model.clone()
    graph = copy.graph
    nodes = {node.name: node for node in graph}
    for layer in {layer.name: layer for layer in layers}.values():
        weight = graph.initializers[layer.weight_name]
        if not weight.is_graph_input():
            graph.inputs.append(weight)
        if layer.output_axis is None:
            continue
        zeros = np.zeros(layer.output_channels)
        shift = add_initializer(graph, _shift_name(layer), _along_channels(layer, zeros))
        graph.inputs.append(shift)
        output = nodes[layer.name].outputs[0]
        add = ir.Node("", "Add", [output, shift], num_outputs=1, name=f"{layer.name}/shifted")
        output.replace_all_uses_with(add.outputs[0], replace_graph_outputs=True)
        add.replace_input_with(0, output)
        graph.insert_after(nodes[layer.name], add)
    data: bytes = ir.to_proto(copy).SerializeToString()
    return data


def _along_channels(layer: Layer, values: NDArray[np.float64]) -> NDArray[np.float32]:
    spatial = layer.operator.spatial
    return (
        values.astype(np.float32).reshape(1, -1, *[1] * (layer.weight.ndim - 2))
        if spatial
        else values.astype(np.float32)
    )


def _shift_name(layer: Layer) -> str:
    return f"{layer.name}/shift"


def _floats(outputs: Sequence[NDArray[np.generic]]) -> list[NDArray[np.float64]]:
    return [value.astype(np.float64).reshape(-1) for value in outputs if value.dtype.kind == "f"]
