"""The sensitivity of a model's output to the quantization of single weights, each quantized alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.observers import Tensors, session_with_outputs
from quant.data.dataset import Dataset
from quant.data.padding import at_real_positions
from quant.evaluation.metrics import holds_quantities, output_energies
from quant.graph.biases import Shifts
from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.weightless import weightless
from quant.progress import SampleProgress
from quant.runtime import Feeds, Session, processors
from quant.search.suffixes import Cut, cut_before, keep_suffix
from quant.search.switched_rounding import add_switched_rounding
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded

MAX_GROUPS, RUNS_PER_GROUP = 4, 16
"""Changes are measured in up to four suffixes of the model, each of which saves the nodes before it. Loading one takes
the time of several runs."""
SAMPLES = 32
"""Samples that are run for each weight: an error's energy is a mean over many values, so few samples suffice."""
NO_MODELS: Mapping[str, Session] = {}
NO_RANGES: Mapping[str, ActivationRange] = {}
ACTIVATION = "activation "
"""The beginning of the name of a change that rounds a tensor."""


@dataclass(frozen=True)
class Sensitivity:
    """Energies at the model's outputs for each of B batches of samples.

    For a model without outputs that can be compared as quantities, they are numbers of values and of changed values.

    Attributes:
        signals: the energy of the outputs in each batch (B,).
        noises: the energy of the error that each named change causes alone in each batch (B,).
        samples: the number of samples in all batches.
        models: the energy of the error of each other model over all batches.
        quantities: True if there are outputs that can be compared as quantities.
    """

    signals: NDArray[np.float64]
    noises: Mapping[str, NDArray[np.float64]]
    samples: int
    models: Mapping[str, float]
    quantities: bool

    @property
    def signal(self) -> float:
        """The energy of the outputs over all batches."""
        return float(self.signals.sum())

    @property
    def noise(self) -> dict[str, float]:
        """The energy of the error that each named change causes over all batches."""
        return {name: float(noises.sum()) for name, noises in self.noises.items()}


def can_be_changed(layer: Layer, model: ir.Model) -> bool:
    """Return True if the layer's weight can become an input: not in the body of an If, a Loop or a Scan."""
    return layer.node.graph is model.graph


def measure_sensitivity(
    model: ir.Model,
    changes: Mapping[str, Sequence[QuantizedLayer]],
    shifts: Shifts,
    samples: Dataset,
    progress: SampleProgress,
    models: Mapping[str, Session] = NO_MODELS,
    *,
    ranges: Mapping[str, ActivationRange] = NO_RANGES,
    side_by_side: bool = False,
) -> Sensitivity:
    """Return the error of each named change alone; every change costs a run of the nodes after it.

    Args:
        model: the float model. It stays unchanged.
        changes: by name, the layers whose weights are replaced by their quantized values. All of them
            `can_be_changed`.
        shifts: what is added to each channel of a changed layer's output, by the layer's name.
        samples: the samples that are run.
        progress: receives the samples completed, each once for every group of changes.
        models: by name, other models that are compared with the float model on the same samples.
        ranges: activation ranges by the tensor's name; each tensor that the main graph computes is rounded alone, too,
            and its error has the tensor's name after `ACTIVATION`.
        side_by_side: run as many changes at the same time as there are processors, each in one thread. This takes less
            processor time for small batches.

    Raises:
        ModelError: the model does not run on the samples.
    """
    graph = weightless(model)
    groups = _groups(graph.proto.graph, changes, ranges, len(samples.numbers))
    boundary = list(dict.fromkeys(name for group in groups for name in group.cut.boundary))
    session = session_with_outputs(graph, boundary, fold_weights=True, threads=1 if side_by_side else 0)
    outputs = [output.name for output in graph.proto.graph.output]
    signals: list[float] = []
    noises: dict[str, list[float]] = {}
    errors, quantities = dict.fromkeys(models, 0.0), False
    for number, group in enumerate(groups):
        suffix: _Suffix | None = None
        for batch in samples.watched(_progress_of(progress, number, len(groups))):
            names = [*outputs, *group.cut.boundary]
            values = dict(zip(names, session.run(batch, names), strict=True))
            suffix = suffix or _Suffix(model, group, shifts, values, side_by_side=side_by_side)
            for name, noise in suffix.noises(batch, values).items():
                noises.setdefault(name, []).append(noise)
            if number == 0:
                expected = at_real_positions(batch, (values[name] for name in outputs))
                quantities = quantities or holds_quantities(expected)
                signals.append(output_energies(expected, expected)[0])
                for name, other in models.items():
                    errors[name] += output_energies(expected, at_real_positions(batch, other.run(batch)))[1]
    names = [name for name in (*changes, *(ACTIVATION + name for name in ranges)) if name in noises]
    by_change = {name: np.array(noises[name]) for name in names}
    return Sensitivity(np.array(signals), by_change, samples.used, errors, quantities)


def _progress_of(progress: SampleProgress, group: int, groups: int) -> SampleProgress:
    """Return the progress of one of several groups, each of which runs all samples."""
    return lambda completed, total: progress(group * total + completed, groups * total)


@dataclass(frozen=True)
class _Group:
    """Changes that are measured in one suffix of the model, and the cut before the first of them."""

    cut: Cut
    changes: Mapping[str, Sequence[QuantizedLayer]]
    ranges: Mapping[str, ActivationRange]


def _groups(
    graph: onnx.GraphProto,
    changes: Mapping[str, Sequence[QuantizedLayer]],
    ranges: Mapping[str, ActivationRange],
    batches: int,
) -> list[_Group]:
    """Return the changes in groups of about equal size along the graph: for each, a suffix of the model is loaded."""
    nodes = {node.name: number for number, node in enumerate(graph.node)}
    makers = {name: number for number, node in enumerate(graph.node) for name in node.output}
    starts = {name: min(nodes[layer.layer.node.name] for layer in change) for name, change in changes.items()}
    starts |= {ACTIVATION + name: makers[name] for name in ranges if name in makers}
    ordered = sorted(starts, key=lambda name: starts[name])
    count = max(min(len(ordered) * batches // RUNS_PER_GROUP, MAX_GROUPS), 1)
    groups = []
    for number in range(count):
        members = ordered[number * len(ordered) // count : (number + 1) * len(ordered) // count]
        groups.append(_Group(
            cut_before(graph, starts[members[0]] if members else 0),
            {name: changes[name] for name in members if name in changes},
            {name: activation for name, activation in ranges.items() if ACTIVATION + name in members},
        ))  # fmt: skip
    return groups


class _Suffix:
    """The part of the float model that a group of changes can affect, loaded with these changes as options."""

    def __init__(self, model: ir.Model, group: _Group, shifts: Shifts, values: Tensors, *, side_by_side: bool) -> None:
        layers = [quantized.layer for change in group.changes.values() for quantized in change]
        proto, inputs, switches = _model_with_inputs(model, layers, group.ranges)
        cut, outputs = group.cut, zip(proto.graph.output, model.graph.outputs, strict=True)
        self._outputs = [(output.name, str(original.name)) for output, original in outputs]
        if not all(isinstance(values[name], np.ndarray) for name in cut.boundary):
            cut = cut_before(proto.graph, 0)  # a sequence cannot be an input
        keep_suffix(proto, cut, values)
        threads = 1 if side_by_side else 0
        self._session = Session(proto.SerializeToString(), "the float model", fold_weights=True, threads=threads)
        self._inputs = [value.name for value in proto.graph.input]
        self._workers = processors() if side_by_side else 1
        self._replacements = {name: _replacements(change, shifts, inputs) for name, change in group.changes.items()}
        self._replacements |= {ACTIVATION + name: {switch: np.array(True)} for name, switch in switches.items()}

    def noises(self, batch: Feeds, values: Tensors) -> dict[str, float]:
        """Return the energy of the error at the outputs that each change causes on a batch.

        Outputs are compared with those of the same session, since another one rounds differently.
        """
        known = {**values, **batch}
        feeds = {name: known[name] for name in self._inputs if name in known}

        def run(replaced: Feeds) -> list[Any]:
            changed = dict(zip(self._session.outputs, self._session.run({**feeds, **replaced}), strict=True))
            outputs = (changed[name] if name in changed else values[original] for name, original in self._outputs)
            return at_real_positions(batch, outputs)

        expected = run({})

        def noise(replaced: Feeds) -> float:
            return output_energies(expected, run(replaced))[1]

        with ThreadPoolExecutor(self._workers) as pool:
            return dict(zip(self._replacements, pool.map(noise, self._replacements.values()), strict=True))


@dataclass(frozen=True)
class _Inputs:
    """The names of the inputs that hold a layer's weight and the shift of its output."""

    weight: str
    shift: str | None


def _replacements(
    change: Sequence[QuantizedLayer], shifts: Shifts, inputs: Mapping[str, _Inputs]
) -> dict[str, NDArray[Any]]:
    """Return the feeds that replace the weights of a change and shift its layers' outputs."""
    feeds: dict[str, NDArray[Any]] = {}
    for quantized in change:
        layer = quantized.layer
        names = inputs[layer.name]
        feeds[names.weight] = decoded(quantized.quantized)
        if names.shift is not None and layer.name in shifts:
            feeds[names.shift] = _along_channels(layer, shifts[layer.name])
    return feeds


def _model_with_inputs(
    model: ir.Model, layers: Sequence[Layer], ranges: Mapping[str, ActivationRange]
) -> tuple[onnx.ModelProto, dict[str, _Inputs], dict[str, str]]:
    """Return a copy of the model whose weights, shifts of outputs and rounding of tensors are optional inputs.

    A layer that shares its weight with others gets an input of its own. The second value has the names of the inputs
    by the layer's name, the third the names of the inputs that switch the rounding of a tensor on, by its name.
    """
    copy = model.clone()
    graph, names, inputs = copy.graph, Names.of(copy.graph), {}
    values = {str(value.name): value for node in graph for value in node.outputs}
    switches = {
        name: add_switched_rounding(graph, values[name], activation, names)
        for name, activation in ranges.items()
        if name in values
    }
    nodes = {node.name: node for node in graph}
    for layer in {layer.name: layer for layer in layers}.values():
        node = nodes[layer.node.name]
        weight = graph.initializers[layer.weight_name]
        if len(weight.uses()) > 1:
            weight = add_initializer(graph, f"{layer.name}/weight", layer.weight, names)
            node.replace_input_with(layer.weight_index, weight)
        graph.inputs.append(weight)
        shift = None if layer.output_axis is None else _add_shift_input(graph, layer, node, names)
        inputs[layer.name] = _Inputs(str(weight.name), shift)
    return ir.to_proto(copy), inputs, switches


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
