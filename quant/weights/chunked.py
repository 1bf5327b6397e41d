"""A large weight quantized part by part: whole, there are only the weight as it lies in its file, and its codes."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant.graph.inventory import Layer
from quant.kernel import dispatch
from quant.methods.clipping.minmax import MinMax
from quant.methods.grids.uniform import Uniform, step
from quant.methods.rounding.nearest import Nearest
from quant.spec import Spec, Weights
from quant.weights.granularity import Granularity, PerBlock, PerChannel, PerTensor
from quant.weights.layers import QuantizedLayer, adapt_to_kernel
from quant.weights.quantize import (
    FittedWeight,
    QuantizedWeight,
    RowErrors,
    clip_bound,
    fit_weight,
    granularity_of,
    quantize_weight,
)
from quant.weights.storage_form import StorageForm, storage_form

PART = 1 << 20
"""Weights that are worked on at once."""
ROWS = 1 << 12
"""Rows that are: each has its histogram."""
SLABS = 128
"""What a matrix whose columns have the scales is cut into."""


def quantize_in_parts(layer: Layer, section: Weights, spec: Spec, compiled: bool) -> QuantizedLayer:
    """Quantize one layer without data to the codes that `quantize_layers` gives it.

    Its fit is that of the whole weight as one row; the rows' own are made where the bounds or the grid need them, and
    dropped. The error expected under them is then known, too.
    """
    begun = time.perf_counter()
    section, notes = adapt_to_kernel(layer, section, spec)
    if section.rounding.needs_moments:
        section = section.model_copy(update={"rounding": Nearest()})
        notes.append("rounded to nearest: the model is too large for its inputs to be known")
    form = storage_form(layer, section, spec)
    weight = np.require(layer.weight, requirements=["C", "A", "W"])  # as the compiled loops know them
    granularity = granularity_of(layer.axis, layer.reduced_axis or 0, section)
    whole = fit_weight(weight, PerTensor(), section, compiled)
    plain = isinstance(section.clipping, MinMax) and isinstance(section.grid, Uniform)  # neither looks at a fit
    contiguous = quantize_contiguous(weight, granularity, section.bits) if plain and compiled else None
    if contiguous is not None:
        quantized = contiguous
    elif isinstance(granularity, PerTensor) or not section.clipping.by_row:
        fitted = whole if isinstance(granularity, PerTensor) else fit_weight(weight, granularity, section, compiled)
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=form is StorageForm.INTEGER)
    else:
        quantized = _quantize_rows(weight, layer.axis, granularity, section, whole, integer=form is StorageForm.INTEGER)
    return QuantizedLayer(layer, section, form, whole, quantized, time.perf_counter() - begun, tuple(notes))


def _quantize_rows(
    weight: NDArray[np.float32],
    channels: int,
    granularity: Granularity,
    section: Weights,
    whole: FittedWeight,
    *,
    integer: bool,
) -> QuantizedWeight:
    """Some output channels (an axis) after the other, each with its fit; bins are those of the whole weight."""
    largest = float(whole.statistics.max_abs[0])
    codes = np.empty(weight.shape, np.int8)
    done: list[QuantizedWeight] = []
    for part in _parts(weight.shape, channels, granularity):
        fitted = fit_weight(weight[part], granularity, section, whole.statistics.compiled, largest)
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=integer)
        codes[part] = quantized.codes
        done.append(replace(quantized, codes=quantized.codes[:0]))
    axis = 0 if isinstance(granularity, PerChannel) else channels
    levels = [one.levels for one in done if one.levels is not None]
    return QuantizedWeight(
        codes=codes,
        scale=np.concatenate([one.scale for one in done], axis=axis),
        bits=section.bits,
        granularity=granularity,
        clip=np.concatenate([one.clip for one in done]),
        errors=RowErrors.joined([one.errors for one in done]),
        levels=np.concatenate(levels) if levels else None,
    )


def _parts(shape: tuple[int, ...], axis: int, granularity: Granularity) -> Iterator[tuple[slice, ...]]:
    """Slices of the output channels: of few enough weights, and of few enough rows."""
    weights = math.prod(shape) // shape[axis]
    rows = -(-weights // granularity.size) if isinstance(granularity, PerBlock) else 1
    step = max(min(PART // max(weights, 1), ROWS // rows), 1)
    for start in range(0, shape[axis], step):
        yield (slice(None),) * axis + (slice(start, start + step),)


def quantize_contiguous(weight: NDArray[np.float32], granularity: Granularity, bits: int) -> QuantizedWeight | None:
    """MinMax bounds and equal steps by compiled loops, without gathering its rows; None where they do not lie so."""
    if isinstance(granularity, PerTensor) or (view := _groups(weight, granularity)) is None:
        return None
    shape = weight.shape
    (groups, size, width), qmax = view.shape, 2 ** (bits - 1) - 1
    depth = size if groups > 1 else -(-size // SLABS)
    matrix = view.reshape(groups, size) if width == 1 else view.reshape(-1, width)
    number = groups if width == 1 else -(-len(matrix) // depth)
    codes, sums, peaks = np.empty(matrix.shape, np.int8), np.empty((number, 3)), np.empty((number, width), np.float32)
    if width == 1:
        dispatch.run("minmax:row_peaks", number, matrix, peaks[:, 0])
    else:
        dispatch.run("minmax:column_peaks", number, matrix, depth, peaks)
    clip = (peaks if groups > 1 or width == 1 else peaks.max(axis=0, keepdims=True)).astype(np.float64)
    scale = step(clip, bits)
    if width == 1:
        dispatch.run("minmax:row_codes", number, matrix, scale[:, 0], qmax, codes, sums)
    else:
        dispatch.run("minmax:column_codes", number, matrix, depth, scale, qmax, codes, sums)
    nothing, none = np.full(number, np.inf), np.zeros(number, np.int64)
    ratio = np.full(number, 1.0 if clip.any() else np.nan)
    errors = RowErrors(sums[:, 0], sums[:, 1], sums[:, 2], none, ratio, nothing, nothing)
    if isinstance(granularity, PerBlock):
        scale = scale.reshape([-1 if axis == granularity.axis else length for axis, length in enumerate(shape)])
    else:
        scale = scale.reshape(-1)
    return QuantizedWeight(codes.reshape(shape), scale, bits, granularity, clip.reshape(-1), errors)


def _groups(weight: NDArray[np.float32], granularity: PerChannel | PerBlock) -> NDArray[np.float32] | None:
    """The weight seen as (G, S, C): the S weights of each of G * C rows share a scale. None if they do not lie so."""
    shape = weight.shape
    before, after = math.prod(shape[: granularity.axis]), math.prod(shape[granularity.axis + 1 :])
    if isinstance(granularity, PerBlock):
        return None if shape[granularity.axis] % granularity.size else weight.reshape(-1, granularity.size, after)
    if before == 1:
        return weight.reshape(-1, after, 1)
    return weight.reshape(1, before, -1) if after == 1 else None
