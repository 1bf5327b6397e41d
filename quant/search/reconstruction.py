"""Reconstruction: a quantized model whose layers are rounded again, one after the other, where held-out samples agree.

Each layer is rounded for the inputs that it has in the model with all earlier layers rounded again, against its output
in the float model (`quant/weights/reconstruction.py`). See docs/methods.md, 'Reconstruction'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as passes

from quant.calibration.moment_observer import ROWS, ROWS_PER_INPUT
from quant.data.dataset import Dataset
from quant.errors import ExportError, ModelError, QuantdError
from quant.evaluation.sqnr import sqnr_db
from quant.graph.activation_sites import site_of
from quant.graph.biases import Shifts
from quant.graph.im2col import input_rows, output_rows, weight_matrix
from quant.graph.inventory import Layer
from quant.outcome.stages import Stage
from quant.progress import Progress, correction_progress, stage_progress
from quant.runtime import Feeds, Session
from quant.search.candidates import assemble, assemble_candidate, best_measured, measure
from quant.search.choice import Choice
from quant.search.context import CalibratedContext
from quant.weights.granularity import PerChannel, PerTensor
from quant.weights.layers import QuantizedLayer
from quant.weights.reconstruction import LayerRows, bias_shift, relative_error, round_again
from quant.weights.storage_form import StorageForm

RUNS = 32
"""The most runs of the float model over the calibration set that all layers together take; deep networks get fewer
samples for each layer."""
MAX_ELEMENTS = 1 << 25
"""The most elements of a layer's rows in memory, 128 MB for each of the two models."""
NAME = ", reconstructed"
"""The suffix of the candidate's name."""
Arrays = list[NDArray[np.float32]]


def reconstruct(choice: Choice, progress: Progress) -> Choice:
    """Return the choice with the layers rounded again whose rounding asks for it, if its outputs become better.

    Of each layer, the new rounding is kept where the error at its output falls on held-out samples. The model is kept
    if its outputs on held-out samples become better and its file is not larger than the budget.

    Raises:
        ExportError: a quantized model does not run.
        ModelError: the float model does not run.
    """
    context = choice.context
    if not isinstance(context, CalibratedContext):
        return choice
    if not any(layer.spec.rounding.reconstructs for layer in choice.layers):
        return choice
    if context.deadline.skips("the reconstruction of the layers"):
        return choice
    layers, shifts = _rounded_again(choice, context, progress)
    after = assemble_candidate(context, choice.name + NAME, choice.option, layers, shifts)
    if choice.max_bytes is not None and len(context.export(after.model.clone())) > choice.max_bytes:
        return choice
    candidates = [measure(context, candidate, correction_progress(progress)) for candidate in (after, choice.candidate)]
    best = best_measured(candidates[::-1])
    compared = {**(choice.compared or {}), **{candidate.name: candidate.sqnr_db for candidate in candidates}}
    if best is candidates[1]:
        return replace(choice, compared=compared)
    return choice.with_candidate(best, best.name, compared)


def _rounded_again(
    choice: Choice, context: CalibratedContext, progress: Progress
) -> tuple[list[QuantizedLayer], Shifts]:
    """Return the layers, rounded again one after the other where that helps, and what corrects their biases."""
    layers, shifts = {layer.layer.name: layer for layer in choice.layers}, dict(choice.shifts)
    comparable = {layer.name for layer in context.comparable_layers}
    usable = [name for name, layer in layers.items() if _is_usable(layer) and name in comparable]
    share = min(1.0, RUNS / max(len(usable), 1))
    parts = [part.spread(max(int(share * part.used), part.batch)) for part in (context.fitting, context.held_out)]
    reported = stage_progress(progress, Stage.CORRECTING)
    for number, name in enumerate(usable):
        if context.deadline.skips("the reconstruction of a part of the layers"):
            break
        reported(number, len(usable), name)
        quantized, _ = assemble(context.model, [*layers.values()], choice.ranges, shifts, context.spec.export.opset)
        tap = _Tap.of(layers[name].layer, context.model, quantized)
        if tap is None:
            continue
        fitting, held_out = (tap.rows(part) for part in parts)
        layers[name], shift = _better(layers[name], fitting, held_out, corrects=context.spec.bias_correction != "none")
        if context.spec.bias_correction != "none":
            shifts[name] = shift
    return [*layers.values()], shifts


def _is_usable(layer: QuantizedLayer) -> bool:
    """Return True if a layer can be rounded again: a matrix with one scale, or with one for each channel."""
    section, plain = layer.spec, isinstance(layer.quantized.granularity, PerChannel | PerTensor)
    free = section.scale == "any" and section.pair_sums == "any"
    named = layer.form not in (StorageForm.DYNAMIC, StorageForm.MATMUL_NBITS)  # their nodes are replaced
    reads_rows = not layer.layer.weight_operand.recurrent and not layer.layer.operator.transposed
    shared = len(layer.layer.operand(layer.layer.weight_index).uses()) > 1
    return section.rounding.reconstructs and plain and free and named and reads_rows and not shared


def _better(
    layer: QuantizedLayer, fitting: LayerRows, held_out: LayerRows, *, corrects: bool
) -> tuple[QuantizedLayer, NDArray[np.float64]]:
    """Return the layer as it is or rounded again, whichever has less error on held-out rows, and its bias's shift."""
    before, after = layer, round_again(layer, fitting)
    shifts = [bias_shift(each, fitting) * corrects for each in (before, after)]
    errors = [relative_error(each, shift, held_out) for each, shift in zip((before, after), shifts, strict=True)]
    figures = " and ".join(f"{sqnr_db(1.0, error):.1f}" for error in errors)
    if errors[1] < errors[0]:
        note = f"rounded again: SQNR at its output before and after, on held-out samples: {figures} dB"
        return replace(after, notes=(*layer.notes, note)), shifts[1]
    note = f"not rounded again: its output would not be better on held-out samples ({figures} dB)"
    return replace(before, notes=(*layer.notes, note)), shifts[0]


@dataclass(frozen=True)
class _Tap:
    """The tensors around one layer in the float and in the quantized model.

    Attributes:
        layer: the layer in the float model.
        bounds: the bounds of its activation.
        sessions: the float and the quantized model up to these tensors.
        names: the names of the layer's input and of its shortcut, if there is one, in each of the models.
        output: the name of the layer's output in the float model.
    """

    layer: Layer
    bounds: tuple[NDArray[np.float32], NDArray[np.float32]]
    sessions: tuple[Session, Session]
    names: tuple[Sequence[str], Sequence[str]]
    output: str

    @classmethod
    def of(cls, layer: Layer, model: ir.Model, quantized: ir.Model) -> "_Tap | None":
        """Return the tap of a layer; None if the quantized model does not read its input by a node of its name."""
        nodes = {node.name: node for node in quantized.graph}
        readings = [(layer.node, layer.input_index)]
        output, low, high, site = layer.node.outputs[0], -np.inf, np.array(np.inf), site_of(layer)
        if site is not None:
            low, high = 0.0, high if site.upper is None else site.upper.reshape(-1)
            if site.total is not None:
                add = next(node for node in model.graph if node.outputs[0].name == site.total)
                output = add.outputs[0]
                readings += [(add, site.other)] if _is_computed(add.inputs[site.other]) else []
        if any(node.name not in nodes for node, _ in readings):
            return None
        names = [_name(node.inputs[index]) for node, index in readings]
        names_quantized = [_name(nodes[node.name].inputs[index]) for node, index in readings]
        sessions = (
            _up_to(model, [*names, _name(output)], "the float model", ModelError),
            _up_to(quantized, names_quantized, "the quantized model", ExportError),
        )
        bounds = np.asarray(low, np.float32), np.asarray(high, np.float32)
        return cls(layer, bounds, sessions, (names, names_quantized), _name(output))

    def rows(self, part: Dataset) -> LayerRows:
        """Return the rows of the layer on a part of the calibration set."""
        batches = [self._batch(feeds, number, part) for number, feeds in zip(part.numbers, part.batches(), strict=True)]
        inputs, quantized = (np.concatenate([batch[at] for batch in batches], axis=1) for at in (0, 1))
        outputs, *drift = (np.concatenate([batch[at] for batch in batches]) for at in range(2, len(batches[0])))
        return LayerRows(inputs, quantized, outputs, drift[0] if drift else None, self.bounds)

    def _batch(self, feeds: Feeds, number: int, part: Dataset) -> Arrays:
        """Return the inputs of both models, the output, and the drift of the shortcut if there is one."""
        limit, layer = -(-self._row_count // len(part.numbers)), self.layer
        names, names_quantized = self.names
        floats = _run(self.sessions[0], feeds, [*names, self.output])
        quantized = _run(self.sessions[1], feeds, names_quantized)
        output = floats[self.output]
        inputs = (floats[names[0]], quantized[names_quantized[0]])
        rows = [input_rows(layer, value, limit, seed=number) for value in inputs]
        rows.append(output_rows(layer, output, limit, seed=number))
        if len(names) > 1:
            drift = np.broadcast_to(quantized[names_quantized[1]] - floats[names[1]], output.shape)
            rows.append(output_rows(layer, drift, limit, seed=number))
        return rows

    @property
    def _row_count(self) -> int:
        """The number of rows of the whole part, as of the second moments, as far as memory allows."""
        matrix = weight_matrix(self.layer, self.layer.weight)
        assert matrix is not None, "a layer that is rounded by moments has a matrix"
        groups, _, width = matrix.shape
        return min(ROWS + ROWS_PER_INPUT * int(width), MAX_ELEMENTS // int(groups * width))


def _run(session: Session, feeds: Feeds, names: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
    """Return the named tensors of one batch, float32."""
    names = list(dict.fromkeys(names))
    return {name: np.asarray(value, np.float32) for name, value in zip(names, session.run(feeds, names), strict=True)}


def _up_to(model: ir.Model, names: Sequence[str], what: str, failure: type[QuantdError]) -> Session:
    """Return a session of the nodes of a model that the named tensors depend on, which are its outputs."""
    copy = model.clone()
    values = {str(value.name): value for node in copy.graph for value in node.outputs}
    values |= {str(value.name): value for value in copy.graph.inputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in dict.fromkeys(names))
    passes.RemoveUnusedNodesPass()(copy)
    return Session(ir.to_proto(copy).SerializeToString(), what, failure)


def _is_computed(value: ir.Value | None) -> bool:
    """Return True for a tensor that a node makes or that is an input of the graph, not a constant."""
    return value is not None and value.const_value is None


def _name(value: ir.Value | None) -> str:
    assert value is not None, "the operand is present"
    return str(value.name)
