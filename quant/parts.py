"""A large weight quantized part by part: whole, there are only the weight as it lies in its file, and its codes."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant import loops
from quant.clipping.minmax import MinMax
from quant.export.forms import Form, form_of
from quant.granularity import Granularity, PerBlock, PerChannel, PerTensor
from quant.graph.inventory import Layer
from quant.grids.uniform import Uniform, step
from quant.layers import QuantizedLayer, possible
from quant.spec import Spec, Weights
from quant.weights import (
    FittedWeight,
    QuantizedWeight,
    RowErrors,
    clip_bound,
    fit_weight,
    granularity_of,
    quantize_weight,
)

PART = 1 << 20
"""Weights that are worked on at once."""
ROWS = 1 << 12
"""Rows that are: each has its histogram."""
TILE = 1 << 17
"""Weights of a tile that stays in a processor's cache."""
_NONE = np.full(1, np.inf)


def quantize_in_parts(layer: Layer, section: Weights, spec: Spec, compiled: bool) -> QuantizedLayer:
    """Quantize one layer without data to the codes that `quantize_layers` gives it.

    Its fit is that of the whole weight as one row; the rows' own are made where the bounds or the grid need them, and
    dropped. The error expected under them is then known, too.
    """
    begun = time.perf_counter()
    section, notes = possible(layer, section, spec)
    form = form_of(layer, section, spec)
    weight, granularity = layer.weight, granularity_of(layer.axis, layer.reduced_axis or 0, section)
    whole = fit_weight(weight, PerTensor(), section, compiled)
    groups = _groups(weight, granularity)
    if isinstance(section.clipping, MinMax) and isinstance(section.grid, Uniform) and groups is not None:
        quantized = _quantize_groups(groups, weight.shape, granularity, section.bits)
    elif isinstance(granularity, PerTensor) or not section.clipping.by_row:
        fitted = whole if isinstance(granularity, PerTensor) else fit_weight(weight, granularity, section, compiled)
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=form is Form.INTEGER)
    else:
        quantized = _quantize_rows(layer, granularity, section, whole, integer=form is Form.INTEGER)
    return QuantizedLayer(layer, section, form, whole, quantized, time.perf_counter() - begun, tuple(notes))


def _quantize_rows(
    layer: Layer, granularity: Granularity, section: Weights, whole: FittedWeight, *, integer: bool
) -> QuantizedWeight:
    """Some output channels after the other, each with its fit; bins are those of the whole weight."""
    weight, largest = layer.weight, float(whole.statistics.max_abs[0])
    codes = np.empty(weight.shape, np.int8)
    done: list[QuantizedWeight] = []
    for part in _parts(weight.shape, layer.axis, granularity):
        fitted = fit_weight(weight[part], granularity, section, whole.statistics.compiled, largest)
        quantized = quantize_weight(fitted, section, clip_bound(fitted, section), integer=integer)
        codes[part] = quantized.codes
        done.append(replace(quantized, codes=quantized.codes[:0]))
    axis = 0 if isinstance(granularity, PerChannel) else layer.axis
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


def _groups(weight: NDArray[np.float32], granularity: Granularity) -> NDArray[np.float32] | None:
    """The weight seen as (G, S, C): the S weights of each of G * C rows share a scale. None if they do not lie so."""
    shape = weight.shape
    if isinstance(granularity, PerTensor):
        return weight.reshape(1, -1, 1)
    before, after = math.prod(shape[: granularity.axis]), math.prod(shape[granularity.axis + 1 :])
    if isinstance(granularity, PerBlock):
        return None if shape[granularity.axis] % granularity.size else weight.reshape(-1, granularity.size, after)
    if before == 1:
        return weight.reshape(-1, after, 1)
    return weight.reshape(1, before, -1) if after == 1 else None


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Slices of the first two axes of (G, S, C): several groups, or a part of one."""
    groups, size, width = shape
    height = max(TILE // (size * width), 1)
    depth = size if height > 1 else max(TILE // width, 1)
    for group in range(0, groups, height):
        for at in range(0, size, depth):
            yield slice(group, group + height), slice(at, at + depth)


def _quantize_groups(
    view: NDArray[np.float32], shape: tuple[int, ...], granularity: Granularity, bits: int
) -> QuantizedWeight:
    """MinMax bounds and equal steps as the weight lies, tile by tile in threads: its rows need not be gathered."""
    qmax = 2 ** (bits - 1) - 1
    bound = np.zeros((view.shape[0], 1, view.shape[2]), np.float32)
    tiles = list(_tiles(view.shape))
    peaks = loops.each(lambda tile: _peak(view[tile]), tiles)
    for (group, _), peak in zip(tiles, peaks, strict=True):
        np.maximum(bound[group], peak, out=bound[group])
    clip = bound.astype(np.float64)
    scale = step(clip, bits)
    codes = np.empty(view.shape, np.int8)

    def encode(tile: tuple[slice, slice]) -> tuple[float, float, float]:
        weights, steps = view[tile], scale[tile[0]]
        rounded = np.rint(weights / steps)
        np.clip(rounded, -qmax, qmax, out=rounded)
        codes[tile] = rounded
        np.multiply(rounded, steps, out=rounded)
        wide = weights.astype(np.float64)
        energy = float(np.vdot(wide, wide))
        error = np.subtract(rounded, wide, out=wide)
        square = float(np.vdot(error, error))
        return float(np.abs(error, out=error).sum()), square, energy

    absolute, square, energy = (np.array([sum(part)]) for part in zip(*loops.each(encode, tiles), strict=True))
    ratio = np.array([1.0 if bound.any() else np.nan])
    errors = RowErrors(absolute, square, energy, np.zeros(1, np.int64), ratio, _NONE, _NONE)
    stored = {PerTensor: (), PerChannel: (-1,)}.get(type(granularity))
    if isinstance(granularity, PerBlock):
        stored = tuple(-1 if axis == granularity.axis else size for axis, size in enumerate(shape))
    return QuantizedWeight(codes.reshape(shape), scale.reshape(stored), bits, granularity, clip.reshape(-1), errors)


def _peak(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest |w| (g, 1, C) of each row of a tile."""
    peak: NDArray[np.float32] = np.maximum(tile.max(axis=1, keepdims=True), -tile.min(axis=1, keepdims=True))
    return peak
