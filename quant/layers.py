"""Every layer of a model quantized by its own section of the spec."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from quant import loops
from quant.calibration import ActivationRange
from quant.errors import NothingToQuantize
from quant.export.forms import Form, becomes_matmul_nbits, form_of
from quant.export.qdq import BIAS_LIMIT
from quant.graph.constants import constant
from quant.graph.inventory import LAYER_OPERATORS, Layer, Skipped, inventory
from quant.grids.uniform import Uniform
from quant.spec import Spec, Weights
from quant.weights import (
    FittedWeight,
    QuantizedWeight,
    clip_bound,
    fit_weight,
    granularity_of,
    quantize_weight,
)


@dataclass(frozen=True)
class QuantizedLayer:
    """One layer with its section of the spec, its fit and its quantized weight; `seconds` is what that took."""

    layer: Layer
    spec: Weights
    form: Form
    fitted: FittedWeight
    quantized: QuantizedWeight
    seconds: float
    notes: tuple[str, ...] = ()


def quantize_layers(
    model: ir.Model, spec: Spec, progress: Callable[[int, int, str], None]
) -> tuple[list[QuantizedLayer], list[Skipped]]:
    """Fit and quantize every layer that the spec does not skip.

    Raises:
        NothingToQuantize: no layer is left.
    """
    layers, skipped = inventory(model)
    work: list[tuple[Layer, Weights]] = []
    for layer in layers:
        section = spec.weights_for(layer.name, layer.op)
        if section is None:
            skipped.append(Skipped(layer.name, layer.op, "a layer rule of the spec skips it"))
        else:
            work.append((layer, section))
    if not work:
        left = "".join(f"; {s.name!r} stays in float: {s.reason}" for s in skipped[:3])
        raise NothingToQuantize(f"no {', '.join(LAYER_OPERATORS)} with a constant float32 weight{left}")
    compiled = loops.pay(sum(_rows(*one) for one in work), sum(layer.weight.size for layer, _ in work))
    quantized = []
    for done, (layer, section) in enumerate(work):
        progress(done, len(work), layer.name)
        quantized.append(_quantize(layer, section, spec, compiled))
    return quantized, skipped


def _rows(layer: Layer, section: Weights) -> int:
    if section.granularity == "block":
        return layer.weight.size // section.block_size
    return layer.weight.shape[layer.axis] if section.granularity == "channel" else 1


def fit_bias(done: QuantizedLayer, ranges: Mapping[str, ActivationRange]) -> QuantizedLayer:
    """Widen the bound of channels whose bias would not fit int32 at the scale of input times weight.

    That happens to channels whose weights are almost zero beside their bias, and costs them nothing visible.
    """
    bias = constant(done.layer.bias) if done.form in (Form.INTEGER, Form.DIRECT) else None
    activation = ranges.get(str(done.layer.operand(done.layer.input_index).name))
    scale = done.quantized.scale
    if bias is None or activation is None or activation.bits > 8 or scale.size not in (1, bias.size):
        return done
    needed = np.abs(bias.astype(np.float64).reshape(-1)) / (float(activation.scale) * BIAS_LIMIT)
    needed = needed if scale.size > 1 else needed.max(keepdims=True)
    narrow = needed > scale.reshape(-1)
    if not narrow.any():
        return done
    if not isinstance(done.spec.grid, Uniform):
        return replace(done, notes=(*done.notes, f"the bias of {int(narrow.sum())} rows is clipped to fit int32"))
    clip = np.where(narrow, needed * (2 ** (done.spec.bits - 1) - 1), done.quantized.clip)
    note = f"the scale of {int(narrow.sum())} rows was widened so that their bias fits int32"
    return replace(done, quantized=quantize_weight(done.fitted, done.spec, clip), notes=(*done.notes, note))


def _quantize(layer: Layer, section: Weights, spec: Spec, compiled: bool) -> QuantizedLayer:
    begun = time.perf_counter()
    section, notes = _possible(layer, section, spec)
    form = form_of(layer, section, spec)
    granularity = granularity_of(layer.axis, layer.reduced_axis or 0, section)
    fitted = fit_weight(layer.weight, granularity, section, compiled)
    quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=form is Form.INTEGER)
    if spec.activations is not None and layer.float_only is not None:
        notes.append(f"computed in float with quantized weights: {layer.float_only}")
    return QuantizedLayer(layer, section, form, fitted, quantized, time.perf_counter() - begun, tuple(notes))


def _possible(layer: Layer, section: Weights, spec: Spec) -> tuple[Weights, list[str]]:
    """The section with what this layer's kernel cannot take replaced, and notes that say so."""
    if section.granularity == "block" and not becomes_matmul_nbits(layer):
        return section.model_copy(update={"granularity": "channel"}), ["per channel: blocks are for MatMul and Gemm"]
    batched = layer.op == "MatMul" and layer.weight.ndim > 2 and spec.activations is not None
    if section.granularity == "channel" and batched and layer.float_only is None:
        note = "per tensor: ONNX Runtime's integer MatMul takes one scale for a batch of matrices"
        return section.model_copy(update={"granularity": "tensor"}), [note]
    return section, []
