"""Quantization of the layers of a model, each by its section of the spec."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from quant.calibration.input_moments import MAX_INPUTS, InferredMoments, Moments, SecondMoments
from quant.calibration.synthetic_moments import SyntheticMoments
from quant.deadline import UNLIMITED, Deadline
from quant.errors import AlreadyQuantized, NothingToQuantize
from quant.graph.inventory import Layer, Skipped, inventory
from quant.graph.matrix_form import group_count
from quant.graph.operators import OPERATORS
from quant.kernel import dispatch
from quant.methods.clipping.minmax import MinMax
from quant.methods.grids.codebook import Codebook
from quant.methods.rounding.auto import AutoRounding
from quant.methods.rounding.error_feedback import ErrorFeedback, ExpectedFeedback
from quant.methods.rounding.nearest import Nearest
from quant.spec import Spec, Weights
from quant.weights.blocks import BlockQuantizer, blocks_of, fit_blocks
from quant.weights.clip_choice import ClipChoice, choose_clipping
from quant.weights.granularity import PerMatrixChannel
from quant.weights.layer_granularity import granularity_of
from quant.weights.layer_problem import LayerProblem
from quant.weights.layer_sections import LayerSections
from quant.weights.machine import fit_to_machine
from quant.weights.output_error import minimise_output_error
from quant.weights.quantize import (
    FittedWeight,
    QuantizedWeight,
    clip_bound,
    encode_weight,
    fit_weight,
    quantize_weight,
)
from quant.weights.storage_form import (
    StorageForm,
    float_input_note,
    has_dynamic_form,
    storage_form,
    takes_blocks,
)

SAME_BOUND_BITS = 6
"""The width from which the best bound for rounding to nearest is taken for every rounding: the search is ten times
faster then. At 6 bits a bound clips little."""
SCALE_BITS = 32
"""The bits of a scale. Blocks of few inputs are so long that their scales take half as many bits as their codes."""
SYNTHETIC_NOTE = "rounded by what its input is on synthetic inputs of the model, which are no data"
"""The note of a layer whose weights were rounded by synthetic inputs."""
NO_RANGE = "without calibration data its input has no static range, and it cannot have a dynamic one"
"""Why a layer that has an integer kernel computes in float."""


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer with its quantized weight.

    Attributes:
        layer: The layer.
        spec: The layer's section of the spec, with what its kernel or its data did not allow replaced.
        form: The form that the weight is stored in.
        fitted: The float weight and its fit.
        quantized: The quantized weight.
        seconds: Time that the quantization took.
        notes: Sentences for the report about what was replaced.
        by_output_error: True if the clip bounds are those of least output error.
        float_bias: True if the layer's bias stays in float.
    """

    layer: Layer
    spec: Weights
    form: StorageForm
    fitted: FittedWeight
    quantized: QuantizedWeight
    seconds: float
    notes: tuple[str, ...] = ()
    by_output_error: bool = False
    float_bias: bool = False


def choose_layers(
    model: ir.Model, spec: Spec, *, calibrated: bool = True
) -> tuple[list[tuple[Layer, Weights]], list[Skipped]]:
    """Return the layers to quantize with their sections of the spec, and the nodes that stay in float.

    Args:
        model: The normalised model.
        spec: The whole spec.
        calibrated: False if there are no calibration data, so that no input can have a static range.

    Raises:
        AlreadyQuantized: there are quantized layers that no rule of the spec skips.
        NothingToQuantize: no layer is left, and the spec does not leave slow layers in float, which may be all.
    """
    layers, skipped = inventory(model)
    _refuse_quantized(skipped, spec)
    work: list[tuple[Layer, Weights]] = []
    sections = LayerSections(layers, spec, calibrated=calibrated)
    for layer in layers:
        section = sections.section(layer)
        if isinstance(section, str):
            skipped.append(Skipped(layer.name, layer.op, section))
        elif calibrated or spec.activations is None or layer.float_only is not None or has_dynamic_form(layer):
            work.append((layer, section))
        else:
            work.append((replace(layer, float_only=NO_RANGE), section))
    if not work and spec.precision != "fp16" and not (layers and spec.keep_float == "slower"):
        examples = "".join(f"; {node.name!r} stays in float: {node.reason}" for node in skipped[:3])
        raise NothingToQuantize(f"no {', '.join(OPERATORS)} with a constant float32 weight{examples}")
    return work, skipped


def needs_moments(section: Weights) -> bool:
    """Return True if the clip rule or the rounding of the section uses moments of the layer's input."""
    return section.clipping.uses_moments or section.rounding.needs_moments


def quantize_layers(
    work: Sequence[tuple[Layer, Weights]],
    moments: Mapping[str, Moments],
    spec: Spec,
    progress: Callable[[int, int, str], None],
    fits: Mapping[str, FittedWeight] | None = None,
    deadline: Deadline = UNLIMITED,
    *,
    calibrated: bool = False,
    expected: bool = True,
) -> list[QuantizedLayer]:
    """Return every layer quantized by its section of the spec.

    Args:
        work: The layers with their sections.
        moments: Moments of the layers' inputs by the layers' names, as far as they are known.
        spec: The whole spec.
        progress: Called with the number of layers completed, their total and the name of the next layer.
        fits: Fits of the same layers by their names, as far as they are known from an earlier call.
        deadline: After it, the remaining layers are not clipped.
        calibrated: True if there are calibration data, with which models are compared.
        expected: False to leave out the expected errors of weights, which only reports need.
    """
    compiled, moments = loops_pay(work), _with_bodies(work, moments)
    quantized = []
    for completed, (layer, section) in enumerate(work):
        progress(completed, len(work), layer.name)
        if deadline.skips("the clip bounds of a part of the layers"):
            section = without_search(section)
        fitted = (fits or {}).get(layer.name)
        known = moments.get(layer.name)
        quantized.append(
            _quantize_layer(layer, section, known, spec, compiled, fitted, calibrated=calibrated, expected=expected)
        )
    return quantized


def _with_bodies(work: Sequence[tuple[Layer, Weights]], moments: Mapping[str, Moments]) -> Mapping[str, Moments]:
    """Return the moments, also for layers in bodies that read the weight of a layer whose moments are known.

    With the same moments the weight gets the same codes, so that it is stored once.
    """
    known = {_reading(layer): moments[layer.name] for layer, _ in work if layer.name in moments}
    unknown = [layer for layer, _ in work if layer.name not in moments]
    return {**moments, **{layer.name: known[_reading(layer)] for layer in unknown if _reading(layer) in known}}


def _reading(layer: Layer) -> tuple[object, ...]:
    """Return the weight and how the layer reads it."""
    return layer.operand(layer.weight_index), layer.op, layer.weight_index, layer.axis, group_count(layer.node)


def loops_pay(work: Sequence[tuple[Layer, Weights]]) -> bool:
    """Return True if compiled loops are loaded, or save more time on these layers than loading them takes."""
    rows, size = sum(_row_count(layer, section) for layer, section in work), sum(layer.size for layer, _ in work)
    return dispatch.loaded() or dispatch.pay(rows, size)


def adapt_to_kernel(layer: Layer, section: Weights) -> tuple[Weights, list[str]]:
    """Return the section with a granularity that the layer's kernel supports, and notes about the change."""
    if section.granularity == "block" and not takes_blocks(layer):
        note = "per channel: blocks are for MatMul, Gemm and recurrent layers"
        return section.model_copy(update={"granularity": "channel"}), [note]
    if section.granularity == "channel" and layer.has_few_inputs and section.grid.uniform and section.scale == "any":
        block = SCALE_BITS * 2 // section.bits
        note = f"in blocks of {block} inputs, because few inputs of a sequence often differ by orders of magnitude"
        return section.model_copy(update={"granularity": "block", "block_size": block}), [note]
    return section, []


def round_to_nearest(section: Weights) -> Weights:
    """Return the section with rounding to the nearest level, which needs no moments."""
    return section.model_copy(update={"rounding": Nearest()})


def without_search(section: Weights) -> Weights:
    """Return the section with the bounds and the rounding that need no search."""
    return round_to_nearest(section).model_copy(update={"clipping": MinMax()})


def _refuse_quantized(skipped: Sequence[Skipped], spec: Spec) -> None:
    """Raise AlreadyQuantized if a quantized layer is not skipped by a rule of the spec."""
    quantized = [node for node in skipped if node.quantized and spec.weights_for(node.name, node.op) is not None]
    if not quantized:
        return
    first, are = quantized[0], "layers are" if len(quantized) > 1 else "layer is"
    raise AlreadyQuantized(
        f"{len(quantized)} {are} already quantized; the first is {first.name!r} ({first.op}): {first.reason}; "
        "accepted: the float model, or layer rules that skip them"
    )


def _row_count(layer: Layer, section: Weights) -> int:
    """Return the number of rows that share a scale each, without the padding of blocks."""
    if section.granularity == "block":
        return layer.size // section.block_size
    granularity = granularity_of(layer, section, StorageForm.FOLDED)
    if isinstance(granularity, PerMatrixChannel):
        return granularity.row_count(layer.shape)
    return layer.shape[layer.axis] if section.granularity == "channel" else 1


def _quantize_layer(
    layer: Layer,
    section: Weights,
    moments: Moments | None,
    spec: Spec,
    compiled: bool,
    fitted: FittedWeight | None,
    *,
    calibrated: bool,
    expected: bool,
) -> QuantizedLayer:
    """Return one layer quantized by its section; `fitted` is its fit if that is known."""
    start = time.perf_counter()
    bias_corrected = spec.bias_correction != "none"
    if bias_corrected and isinstance(moments, InferredMoments):
        moments = moments.after_bias_correction()
    section, notes = adapt_to_kernel(layer, section)
    choice = choose_clipping(section, moments, bias_corrected=bias_corrected, calibrated=calibrated)
    section = choice.section
    if choice.note is not None:
        notes.append(choice.note)
    form = storage_form(layer, section, spec)
    granularity = granularity_of(layer, section, form)
    section, reason = _with_usable_rounding(section, moments)
    notes += [] if reason is None else [reason]
    uses_moments = choice.by_output_error or section.rounding.needs_moments
    notes += [SYNTHETIC_NOTE] if uses_moments and isinstance(moments, SyntheticMoments) else []
    if (blocks := blocks_of(layer, section, granularity)) is not None:
        fitted = fitted or fit_blocks(layer.weight, blocks, section, compiled, layer.name)
        known = moments if uses_moments else None
        quantized = BlockQuantizer(layer, section, blocks, fitted, known).quantize(layer.weight)
        by_output, seconds = moments is not None and choice.by_output_error, time.perf_counter() - start
        return QuantizedLayer(layer, section, form, fitted, quantized, seconds, tuple(notes), by_output)
    fitted = fitted or fit_weight(layer.weight, granularity, section, compiled, name=layer.name)
    integer = form.reads_integers
    if moments is not None and uses_moments:
        problem = LayerProblem.from_layer(layer, fitted.granularity, moments)
        quantized = _quantize_for_output(problem, section, choice, fitted, integer=integer, expected=expected)
    else:
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=integer, expected=expected)
    note = float_input_note(layer, form, spec)
    notes += [] if note is None else [note]
    quantized, changes = fit_to_machine(layer, section, form, spec, fitted, quantized)
    notes += changes
    by_output = moments is not None and choice.by_output_error
    seconds = time.perf_counter() - start
    float_bias = spec.export.bias == "float"
    return QuantizedLayer(layer, section, form, fitted, quantized, seconds, tuple(notes), by_output, float_bias)


def _with_usable_rounding(section: Weights, moments: Moments | None) -> tuple[Weights, str | None]:
    """Return the section with a rounding that the moments allow, and a note if it is not the one that was asked for."""
    rounding = section.rounding
    known = isinstance(moments, SecondMoments)
    if isinstance(rounding, AutoRounding):
        if not known:
            return round_to_nearest(section), None
        kind = ExpectedFeedback if isinstance(moments, InferredMoments) else ErrorFeedback
        feedback = kind(sweeps=rounding.sweeps, damping=rounding.damping)
        return section.model_copy(update={"rounding": feedback}), None
    if rounding.needs_moments and not known:
        limit = f"at most {MAX_INPUTS} known inputs, as far as memory allows"
        note = f"rounded to nearest: {rounding.name} is for matrices of {limit}"
        return round_to_nearest(section), note
    return section, None


def _quantize_for_output(
    problem: LayerProblem,
    section: Weights,
    choice: ClipChoice,
    fitted: FittedWeight,
    *,
    integer: bool,
    expected: bool,
) -> QuantizedWeight:
    """Return the weight rounded for a small output error, with each row's scale refitted to its codes."""
    if choice.by_output_error:
        rounding = Nearest() if section.bits >= SAME_BOUND_BITS else section.rounding
        clip, codebook = minimise_output_error(problem, fitted, section.grid, rounding, section.bits)
    else:
        clip = clip_bound(fitted, section)
        codebook = section.grid.build(fitted.statistics, fitted.fit, clip, section.bits)
    if isinstance(codebook, Codebook) and (integer or section.grid.rows_per_table(len(codebook.levels)) > 1):
        codebook, _ = codebook.snapped()
    values = problem.rounded(section.rounding, codebook)
    gain = problem.gain(values)
    rows = problem.restore(values) * gain[:, None].astype(np.float32)
    codebook = codebook.scaled(gain)
    return encode_weight(fitted, section, clip * gain, codebook, rows, integer=integer, expected=expected)
