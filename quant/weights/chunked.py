"""Quantization of a large weight in parts, so that only its floats and its codes are in memory as a whole."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant.graph.inventory import Layer
from quant.kernel import dispatch
from quant.methods.grids.uniform import step
from quant.spec import Spec, Weights
from quant.weights.blocks import BlockQuantizer, blocks_of, fit_blocks
from quant.weights.clip_choice import choose_clipping
from quant.weights.errors import RowErrors
from quant.weights.granularity import PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.layer_granularity import granularity_of
from quant.weights.layers import QuantizedLayer, adapt_to_kernel, round_to_nearest
from quant.weights.quantize import (
    FittedWeight,
    QuantizedWeight,
    clip_bound,
    fit_weight,
    quantize_weight,
)
from quant.weights.storage_form import INT8_INPUTS_NOTE, StorageForm, float_input_note, storage_form

WEIGHTS_AT_ONCE = 1 << 20
"""Weights of a part."""
ROWS_AT_ONCE = 1 << 12
"""Rows of a part; each has a histogram."""
SLABS = 128
"""Slabs of rows that a matrix with a scale for each column is cut into, so that threads can share it."""


RowGranularity = PerTensor | PerChannel | PerMatrixChannel
"""The granularities whose rows are no blocks."""


def quantize_in_parts(layer: Layer, section: Weights, spec: Spec, compiled: bool) -> QuantizedLayer:
    """Return one layer quantized without data, with the same codes as from `quantize_layers`.

    The layer's fit is that of the whole weight as one row. Rows are fitted, part by part, only where their bounds or
    their grid need it; only then the expected errors are finite.

    Args:
        layer: The layer.
        section: The layer's section of the spec.
        spec: The whole spec.
        compiled: Use compiled loops.
    """
    start = time.perf_counter()
    section, notes = adapt_to_kernel(layer, section)
    if section.rounding.needs_moments:
        if not section.rounding.for_blocks:
            notes.append("rounded to nearest: the model is too large for its inputs to be known")
        section = round_to_nearest(section)
    section = choose_clipping(section, None, bias_corrected=False).section
    form = storage_form(layer, section, spec)
    weight = np.require(layer.weight, requirements=["C", "A", "W"])  # the array type of the compiled loops
    granularity = granularity_of(layer, section, form)
    if (blocks := blocks_of(layer, section, granularity)) is not None:
        whole = fit_blocks(weight, blocks, section, compiled, layer.name)
        quantized = BlockQuantizer(layer, section, blocks, whole).quantize(weight)
    else:
        assert not isinstance(granularity, PerBlock), "blocks were quantized above"
        whole = fit_weight(weight, PerTensor(), section, compiled, name=layer.name)
        quantized = _quantize(weight, layer.axis, granularity, section, whole, integer=form.reads_integers)
    if form is StorageForm.MATMUL_NBITS:
        notes.append(INT8_INPUTS_NOTE)
    note = float_input_note(layer, form, spec)
    notes += [] if note is None else [note]
    return QuantizedLayer(layer, section, form, whole, quantized, time.perf_counter() - start, tuple(notes))


def quantize_contiguous(weight: NDArray[np.float32], granularity: RowGranularity, bits: int) -> QuantizedWeight | None:
    """Return the weight with MinMax bounds on the uniform grid, by compiled loops that copy no rows.

    None for one scale, and where the weights that share a scale are not contiguous enough for the loops. The errors
    are sums over the loops' parts, which may be smaller or larger than rows.
    """
    if isinstance(granularity, PerTensor) or (view := _view_groups(weight, granularity)) is None:
        return None
    shape = weight.shape
    codes, clip, scale, sums = _encode_rows(view, bits) if view.shape[2] == 1 else _encode_columns(view, bits)
    number = len(sums)
    unknown = np.full(number, np.inf)
    ratio = np.full(number, 1.0 if clip.any() else np.nan)
    errors = RowErrors(sums[:, 0], sums[:, 1], sums[:, 2], np.zeros(number, np.int64), ratio, unknown, unknown)
    if isinstance(granularity, PerMatrixChannel):
        scale = granularity.restore_scale(scale.reshape(-1), shape)
    else:
        scale = scale.reshape(-1)
    return QuantizedWeight(codes.reshape(shape), scale, bits, granularity, clip.reshape(-1), errors)


def _quantize(
    weight: NDArray[np.float32],
    channels: int,
    granularity: RowGranularity,
    section: Weights,
    whole: FittedWeight,
    *,
    integer: bool,
) -> QuantizedWeight:
    """Return the quantized weight by the method that needs the least memory; `channels` is the axis of outputs."""
    compiled = whole.statistics.compiled
    if compiled and section.grid.uniform and not section.clipping.clips:
        contiguous = quantize_contiguous(weight, granularity, section.bits)
        if contiguous is not None:
            return contiguous
    if isinstance(granularity, PerTensor):
        return quantize_weight(whole, section, clip_bound(whole, section), integer=integer)
    if section.clipping.by_row and section.grid.by_row:
        return _quantize_rows(weight, channels, granularity, section, whole, integer=integer)
    fitted = fit_weight(weight, granularity, section, compiled)
    return quantize_weight(fitted, section, clip_bound(fitted, section), integer=integer)


def _quantize_rows(
    weight: NDArray[np.float32],
    channels: int,
    granularity: PerChannel | PerMatrixChannel,
    section: Weights,
    whole: FittedWeight,
    *,
    integer: bool,
) -> QuantizedWeight:
    """Return the weight quantized some output channels at a time; all parts have the bins of the whole weight."""
    largest = float(whole.statistics.max_abs[0])
    codes = np.empty(weight.shape, np.int8)
    parts: list[QuantizedWeight] = []
    for part, part_granularity in _parts(weight.shape, channels, granularity):
        fitted = fit_weight(weight[part], part_granularity, section, whole.statistics.compiled, largest)
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=integer)
        codes[part] = quantized.codes
        parts.append(replace(quantized, codes=quantized.codes[:0]))
    levels = [part.levels for part in parts if part.levels is not None]
    return QuantizedWeight(
        codes=codes,
        scale=np.concatenate([part.scale for part in parts]),
        bits=section.bits,
        granularity=granularity,
        clip=np.concatenate([part.clip for part in parts]),
        errors=RowErrors.concatenate([part.errors for part in parts]),
        levels=np.concatenate(levels) if levels else None,
    )


def _parts(
    shape: tuple[int, ...], channels: int, granularity: PerChannel | PerMatrixChannel
) -> Iterator[tuple[tuple[slice, ...], RowGranularity]]:
    """Yield slices that are small enough in weights and in rows, each with its granularity.

    The slices lie along the axis of output channels `channels`, or along the first axis of stacked matrices and groups.
    """
    groups = granularity.groups if isinstance(granularity, PerMatrixChannel) else None
    axis = 0 if isinstance(granularity, PerMatrixChannel) else channels
    unit = 1 if groups is None else shape[0] // groups
    weights = math.prod(shape) // shape[axis] * unit
    rows = granularity.row_count(shape) * unit // shape[0] if isinstance(granularity, PerMatrixChannel) else 1
    length = max(min(WEIGHTS_AT_ONCE // max(weights, 1), ROWS_AT_ONCE // rows), 1) * unit
    for start in range(0, shape[axis], length):
        part: RowGranularity = granularity
        if isinstance(granularity, PerMatrixChannel) and groups is not None:
            part = replace(granularity, groups=min(length, shape[0] - start) // unit)
        yield (slice(None),) * axis + (slice(start, start + length),), part


Encoded = tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]
"""Codes in the order of the weight, bounds and scales, and sums (T, 3) of |error|, error^2 and w^2 of T parts."""


def _encode_rows(view: NDArray[np.float32], bits: int) -> Encoded:
    """Return a weight (G, S, 1) with one scale for each of its G rows encoded; bounds and scales are (G, 1)."""
    matrix = view.reshape(view.shape[:2])
    number, qmax = len(matrix), 2 ** (bits - 1) - 1
    codes, sums, peaks = np.empty(matrix.shape, np.int8), np.empty((number, 3)), np.empty((number, 1), np.float32)
    dispatch.run("minmax:row_peaks", number, matrix, peaks[:, 0])
    clip = peaks.astype(np.float64)
    scale = step(clip, bits)
    dispatch.run("minmax:row_codes", number, matrix, scale[:, 0], qmax, codes, sums)
    return codes, clip, scale, sums


def _encode_columns(view: NDArray[np.float32], bits: int) -> Encoded:
    """Return a weight (G, S, C) with one scale for each column of each group encoded; bounds and scales are (G, C)."""
    groups, size, width = view.shape
    depth = size if groups > 1 else -(-size // SLABS)  # a single group is cut into slabs
    matrix, qmax = view.reshape(-1, width), 2 ** (bits - 1) - 1
    number = -(-len(matrix) // depth)
    codes, sums, peaks = np.empty(matrix.shape, np.int8), np.empty((number, 3)), np.empty((number, width), np.float32)
    dispatch.run("minmax:column_peaks", number, matrix, depth, peaks)
    clip = (peaks if groups > 1 else peaks.max(axis=0, keepdims=True)).astype(np.float64)
    scale = step(clip, bits)
    dispatch.run("minmax:column_codes", number, matrix, depth, scale, qmax, codes, sums)
    return codes, clip, scale, sums


def _view_groups(weight: NDArray[np.float32], granularity: PerChannel | PerMatrixChannel) -> NDArray[np.float32] | None:
    """Return the weight viewed as (G, S, C), where the S weights of each group and column share a scale.

    None if that takes a copy, because channels lie along a middle axis.
    """
    shape = weight.shape
    if isinstance(granularity, PerMatrixChannel):
        return _view_matrices(weight, granularity)
    before, after = math.prod(shape[: granularity.axis]), math.prod(shape[granularity.axis + 1 :])
    if before == 1:
        return weight.reshape(-1, after, 1)
    return weight.reshape(1, before, -1) if after == 1 else None


def _view_matrices(weight: NDArray[np.float32], granularity: PerMatrixChannel) -> NDArray[np.float32] | None:
    """Return stacked matrices viewed as `_view_groups` does; None for groups, whose channels lie on a middle axis."""
    last = len(weight.shape) - 1
    if granularity.groups is not None:
        return None
    if last in granularity.axes:
        return weight.reshape(-1, *weight.shape[-2:])
    return weight.reshape(-1, weight.shape[-1], 1)
