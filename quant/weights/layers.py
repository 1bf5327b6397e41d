"""Every layer of a model quantized by its own section of the spec."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant.calibration.input_moments import MAX_INPUTS, InferredMoments, Moments, SecondMoments
from quant.errors import AlreadyQuantized, NothingToQuantize
from quant.graph.inventory import Layer, Skipped, inventory
from quant.graph.operators import OPERATORS
from quant.kernel import dispatch
from quant.methods.clipping.auto import Auto
from quant.methods.clipping.minmax import MinMax
from quant.methods.grids.codebook import Codebook
from quant.methods.grids.uniform import Uniform
from quant.methods.rounding.nearest import Nearest
from quant.spec import Spec, Weights
from quant.weights.layer_problem import LayerProblem
from quant.weights.output_error import least_output_error
from quant.weights.quantize import (
    FittedWeight,
    QuantizedWeight,
    clip_bound,
    encode_weight,
    fit_weight,
    granularity_of,
    quantize_weight,
)
from quant.weights.storage_form import StorageForm, becomes_matmul_nbits, storage_form

LEAST_UNCLIPPED = 4
"""Bits from which on a weight without measured inputs keeps its largest values: independent inputs make clipping look
cheaper than it is, by 2 to 4 dB at the outputs of nets whose biases are corrected."""


@dataclass(frozen=True)
class QuantizedLayer:
    """One layer with its section of the spec, its fit and its quantized weight; `seconds` is what that took."""

    layer: Layer
    spec: Weights
    form: StorageForm
    fitted: FittedWeight
    quantized: QuantizedWeight
    seconds: float
    notes: tuple[str, ...] = ()


def choose_layers(model: ir.Model, spec: Spec) -> tuple[list[tuple[Layer, Weights]], list[Skipped]]:
    """Every layer that the spec does not skip with its own section, and what stays in float.

    Raises:
        AlreadyQuantized: there are quantized layers that no rule of the spec skips.
        NothingToQuantize: no layer is left.
    """
    layers, skipped = inventory(model)
    done = [one for one in skipped if one.quantized and spec.weights_for(one.name, one.op) is not None]
    if done:
        raise AlreadyQuantized(
            f"{len(done)} {'layers are' if len(done) > 1 else 'layer is'} quantized already, {done[0].name!r} "
            f"({done[0].op}) the first: {done[0].reason}; accepted: the float model, or layer rules that skip them"
        )
    work: list[tuple[Layer, Weights]] = []
    for layer in layers:
        section = spec.weights_for(layer.name, layer.op)
        if section is None:
            skipped.append(Skipped(layer.name, layer.op, "a layer rule of the spec skips it"))
        else:
            work.append((layer, section))
    if not work:
        left = "".join(f"; {s.name!r} is left as it is: {s.reason}" for s in skipped[:3])
        raise NothingToQuantize(f"no {', '.join(OPERATORS)} with a constant float32 weight{left}")
    return work, skipped


def needs_moments(section: Weights) -> bool:
    """Whether the section's bounds or rounding look at the layer's input, where there is data."""
    return isinstance(section.clipping, Auto) or section.rounding.needs_moments


def quantize_layers(
    work: Sequence[tuple[Layer, Weights]],
    moments: Mapping[str, Moments],
    spec: Spec,
    progress: Callable[[int, int, str], None],
    fits: Mapping[str, FittedWeight] | None = None,
) -> list[QuantizedLayer]:
    """Fit and quantize every layer by its section, by the output error where its input's moments are known.

    `fits` are those of the same layers, where they are known from another try.
    """
    compiled = loops_pay(work)
    quantized = []
    for done, (layer, section) in enumerate(work):
        progress(done, len(work), layer.name)
        fitted = (fits or {}).get(layer.name)
        quantized.append(_quantize(layer, section, moments.get(layer.name), spec, compiled, fitted))
    return quantized


def loops_pay(work: Sequence[tuple[Layer, Weights]]) -> bool:
    """Whether compiled loops pay for these layers."""
    return dispatch.loaded() or dispatch.pay(sum(_rows(*one) for one in work), sum(layer.size for layer, _ in work))


def _rows(layer: Layer, section: Weights) -> int:
    if section.granularity == "block":
        return layer.size // section.block_size
    return layer.shape[layer.axis] if section.granularity == "channel" else 1


def _quantize(
    layer: Layer,
    section: Weights,
    moments: Moments | None,
    spec: Spec,
    compiled: bool,
    fitted: FittedWeight | None,
) -> QuantizedLayer:
    begun = time.perf_counter()
    section, notes = adapt_to_kernel(layer, section, spec)
    if isinstance(moments, InferredMoments) and spec.bias_correction != "none":
        moments = moments.once_corrected()
        if isinstance(section.clipping, Auto) and isinstance(section.grid, Uniform) and section.bits >= LEAST_UNCLIPPED:
            section = section.model_copy(update={"clipping": MinMax()})
            notes.append("bounds of MinMax: without data nothing says what clipping costs behind a corrected bias")
    form = storage_form(layer, section, spec)
    granularity = granularity_of(layer.axis, layer.reduced_axis or 0, section)
    fitted = fitted or fit_weight(layer.weight, granularity, section, compiled)
    if section.rounding.needs_moments and not isinstance(moments, SecondMoments):
        name = section.rounding.name
        notes.append(f"rounded to nearest: {name} is for matrices of at most {MAX_INPUTS} known inputs")
        section = section.model_copy(update={"rounding": Nearest()})
    if moments is not None and needs_moments(section):
        quantized = _quantize_for_output(layer, section, fitted, moments, integer=form is StorageForm.INTEGER)
    else:
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=form is StorageForm.INTEGER)
    if spec.activations is not None and layer.float_only is not None:
        notes.append(f"computed in float with quantized weights: {layer.float_only}")
    return QuantizedLayer(layer, section, form, fitted, quantized, time.perf_counter() - begun, tuple(notes))


def _quantize_for_output(
    layer: Layer, section: Weights, fitted: FittedWeight, moments: Moments, *, integer: bool
) -> QuantizedWeight:
    """Bound, rounding and scale by the error at the layer's output; the codes are kept when the scale is refitted."""
    problem = LayerProblem.of(layer, fitted.granularity, moments)
    if isinstance(section.clipping, Auto):
        clip, codebook = least_output_error(problem, fitted, section.grid, section.rounding, section.bits)
    else:
        clip = clip_bound(fitted, section)
        codebook = section.grid.build(fitted.statistics, fitted.fit, clip, section.bits)
    if isinstance(codebook, Codebook) and integer:
        codebook, _ = codebook.snapped()
    values = section.rounding.round(problem, codebook)
    gain = problem.gain(values)
    rows = problem.restore(values) * gain[:, None].astype(np.float32)
    return encode_weight(fitted, section, clip * gain, codebook.scaled(gain), rows, integer=integer)


def adapt_to_kernel(layer: Layer, section: Weights, spec: Spec) -> tuple[Weights, list[str]]:
    """The section with what this layer's kernel cannot take replaced, and notes that say so."""
    if section.granularity == "block" and not becomes_matmul_nbits(layer):
        return section.model_copy(update={"granularity": "channel"}), ["per channel: blocks are for MatMul and Gemm"]
    batched = layer.is_batch and spec.activations is not None
    if section.granularity == "channel" and batched and layer.float_only is None:
        note = "per tensor: ONNX Runtime's integer MatMul takes one scale for a batch of matrices"
        return section.model_copy(update={"granularity": "tensor"}), [note]
    return section, []
