"""Alternatives for one layer: other widths, other granularities, or float, with their gain and their bytes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.sqnr import EXACT_DB
from quant.export.storage import code_bytes, stored_bits, stored_bytes
from quant.methods.grids.uniform import Uniform
from quant.outcome.report.layer import Alternative
from quant.search.error_shares import ErrorShares
from quant.search.formats import WIDTHS
from quant.spec import Spec, Weights
from quant.spec.layer_rule_lines import layer_rule_lines
from quant.weights.block_grids import search_grids
from quant.weights.blocks import has_zero_points
from quant.weights.granularity import PerBlock, PerChannel, PerTensor
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import StorageForm, is_plain_matmul, storage_form

RATIOS = np.geomspace(0.25, 1.0, 12)
"""Ratios of the bound to the largest |w| of a row among which the least error is taken."""
UNCLIPPED = np.ones(1)
"""The only ratio for a clip rule that clips nothing."""
BLOCK = 32
"""Weights in a block of the alternative with blocks."""
MAX_ROWS, MAX_VALUES = 32, 1 << 13
"""The most rows and weights on which an alternative is measured."""
LEAST_RATIO = 1e-20
"""The least ratio of noises, which is that of no noise at all."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Option:
    """One alternative with uniform levels: its weight options, the ratio of its noise to the present, and its bytes."""

    change: str
    options: dict[str, object]
    noise_ratio: float
    bytes: int


def alternatives(layer: QuantizedLayer, spec: Spec, shares: ErrorShares) -> tuple[Alternative, ...]:
    """Return the alternatives for a layer: the next widths, 8 bits, a finer granularity, and float.

    The noise of a width or a granularity is measured on some of the weights: they are rounded to a uniform grid with
    each of several bounds, and the least squared error of each row counts.

    Args:
        layer: the quantized layer.
        spec: the whole spec.
        shares: the shares of the output error.
    """
    now, bytes_now = layer.quantized.error.sqnr_db, stored_bytes(layer.quantized, layer.form, spec.export.opset)
    name, op = layer.layer.name, layer.layer.op
    options = [] if now >= EXACT_DB else [*_widths(layer, spec), *_finer(layer, spec)]
    entries = [
        Alternative(
            change=option.change,
            weight_sqnr_db=_digits(min(now - decibels(option.noise_ratio), EXACT_DB)),
            weight_sqnr_gain_db=_digits(min(-decibels(option.noise_ratio), EXACT_DB - now)),
            basis="measured",
            output_gain_db=output_gain_db(shares, name, option.noise_ratio),
            bytes=option.bytes,
            bytes_more=option.bytes - bytes_now,
            spec=layer_rule_lines(spec, name, op, option.options),
        )
        for option in options
    ]
    in_float = Alternative(
        change="float",
        weight_sqnr_db=None,
        weight_sqnr_gain_db=None,
        basis="exact",
        output_gain_db=output_gain_db(shares, name, 0.0),
        bytes=4 * layer.layer.size,
        bytes_more=4 * layer.layer.size - bytes_now,
        spec=layer_rule_lines(spec, name, op, None),
    )
    return (*entries, in_float)


@dataclass(frozen=True)
class _Rows:
    """Some weights (M, n) of some rows, and the largest |w| of each whole row (M,), above zero."""

    weights: NDArray[np.float32]
    largest: Floats

    @classmethod
    def of(cls, rows: NDArray[np.float32], most: int = MAX_ROWS) -> "_Rows":
        """Return at most `most` of the rows (R, n) that hold other weights than zero, at even distances."""
        count = min(len(rows), most)
        chosen = rows[np.arange(count) * len(rows) // count]
        largest = np.abs(chosen).max(axis=1).astype(np.float64)
        thinned = chosen[:, :: max(chosen.size // MAX_VALUES, 1)]
        return cls(thinned[largest > 0], largest[largest > 0])

    def least_noise(self, bits: int, ratios: Floats) -> float:
        """Return the sum over the rows of the least squared error on a uniform grid, in the weight's unit squared.

        Args:
            bits: width of a code.
            ratios: ratios of a row's bound to its largest |w|.
        """
        qmax, least = 2 ** (bits - 1) - 1, np.full(len(self.largest), np.inf)
        for ratio in ratios:
            step = self.largest[:, None] * (ratio / qmax)
            error = np.clip(np.rint(self.weights / step), -qmax, qmax) * step - self.weights
            np.minimum(least, np.einsum("rn,rn->r", error, error), out=least)
        return float(least.sum())


def _ratios(layer: QuantizedLayer) -> Floats:
    """Return the ratios of bounds that the layer's clip rule may choose from."""
    return RATIOS if layer.spec.clipping.clips else UNCLIPPED


def _rows(layer: QuantizedLayer) -> _Rows:
    """Return some rows of the layer's weight: channels, blocks of some channels, or all weights as one row."""
    weight, granularity = layer.layer.weight, layer.quantized.granularity
    if isinstance(granularity, PerTensor):
        thinned = weight.reshape(1, -1)[:, :: max(weight.size // MAX_VALUES, 1)]
        return _Rows(thinned, np.full(1, np.abs(weight).max(), np.float64))
    channels = _channels(layer)
    if isinstance(granularity, PerBlock) and channels.shape[1] >= granularity.size:
        few = channels[:, : channels.shape[1] // granularity.size * granularity.size]
        return _Rows.of(few.reshape(-1, granularity.size), MAX_VALUES // granularity.size)
    return _Rows.of(channels)


def _channels(layer: QuantizedLayer) -> NDArray[np.float32]:
    """Return the weights (M, n) of at most `MAX_ROWS` output channels at even distances."""
    channels = np.moveaxis(layer.layer.weight, layer.layer.axis, 0)
    count = min(len(channels), MAX_ROWS)
    return channels[np.arange(count) * len(channels) // count].reshape(count, -1)


def _widths(layer: QuantizedLayer, spec: Spec) -> Iterator[_Option]:
    """Yield the layer at 8 bits and at the next width up and down that the file can store, on a uniform grid."""
    weight, section, ratios = layer.quantized, layer.spec, _ratios(layer)
    form = storage_form(layer.layer, section.model_copy(update={"grid": Uniform()}), spec)
    opset = spec.export.opset
    stored = [bits for bits in WIDTHS if stored_bits(bits, opset, form) == bits and bits != weight.bits]
    next_up = min((bits for bits in stored if bits > weight.bits), default=None)
    next_down = max((bits for bits in stored if bits < weight.bits), default=None)
    rows, in_blocks = _rows(layer), isinstance(weight.granularity, PerBlock)
    present = _block_noise(rows, section) if in_blocks else _present_noise(layer, rows, ratios)
    for bits in stored:
        if bits in (8, next_up, next_down):
            options: dict[str, object] = {"bits": bits, **({} if section.grid.uniform else {"grid": "uniform"})}
            size = code_bytes(layer.layer.size, bits, form, opset) + 4 * len(weight.clip)
            noise = rows.least_noise(bits, ratios)
            if in_blocks:
                changed = section.model_copy(update={"bits": bits})
                noise = _block_noise(rows, changed)
                size += _zero_point_bytes(len(weight.clip), changed, opset)
            yield _Option(f"{bits} bits", options, _ratio(noise, present), size)


def _present_noise(layer: QuantizedLayer, rows: _Rows, ratios: Floats) -> float:
    """Return the noise of the rows as they are: on a uniform grid by the same method as that of other widths.

    On another grid it is the mean noise of a weight times the number of weights.
    """
    if layer.spec.grid.uniform:
        return rows.least_noise(layer.quantized.bits, ratios)
    return layer.quantized.error.mse * rows.weights.size


def _finer(layer: QuantizedLayer, spec: Spec) -> Iterator[_Option]:
    """Yield the layer with a scale for each channel if it has one scale, or for each block if it may have blocks."""
    weight, granularity, ratios = layer.quantized, layer.quantized.granularity, _ratios(layer)
    if not layer.spec.grid.uniform or not isinstance(granularity, PerTensor | PerChannel):
        return
    channels = layer.layer.shape[layer.layer.axis]
    length = layer.layer.size // max(channels, 1)
    codes = code_bytes(layer.layer.size, weight.bits, layer.form, spec.export.opset)
    if isinstance(granularity, PerTensor):
        by_channel = _Rows.of(_channels(layer))
        one_scale = _Rows(by_channel.weights.reshape(1, -1), np.full(1, np.abs(layer.layer.weight).max(), np.float64))
        ratio = _ratio(by_channel.least_noise(weight.bits, ratios), one_scale.least_noise(weight.bits, ratios))
        yield _Option("a scale per channel", {"granularity": "channel"}, ratio, codes + 4 * channels)
    elif spec.activations is None and is_plain_matmul(layer.layer) and length >= 2 * BLOCK:
        few = _channels(layer)[: max(MAX_VALUES // length, 1), : min(length, MAX_VALUES) // BLOCK * BLOCK]
        blocks = _Rows.of(few.reshape(-1, BLOCK), MAX_VALUES // BLOCK)
        present = _Rows.of(few).least_noise(weight.bits, ratios)
        ratio = _ratio(_block_noise(blocks, layer.spec), present)
        options: dict[str, object] = {"granularity": "block", "block_size": BLOCK}
        number = channels * -(-length // BLOCK)
        zeros = _zero_point_bytes(number, layer.spec, spec.export.opset)
        yield _Option(f"a scale per {BLOCK} weights", options, ratio, codes + 4 * number + zeros)


def _block_noise(rows: _Rows, section: Weights) -> float:
    """Return the sum of the squared errors of some blocks, in the weight's unit squared, quantized by a section."""
    if not len(rows.weights):
        return 0.0
    blocks = np.ascontiguousarray(rows.weights)
    book = search_grids(
        blocks, np.ones(blocks.shape[1]), section.bits,
        zero_points=has_zero_points(section), clips=section.clipping.clips, compiled=False,
    )  # fmt: skip
    return float(np.square(book.decode(book.encode(blocks)).astype(np.float64) - blocks).sum())


def _zero_point_bytes(blocks: int, section: Weights, opset: int) -> int:
    """Return the bytes of the zero points of some blocks, which have one of ONNX's types."""
    return code_bytes(blocks, section.bits, StorageForm.DIRECT, opset) if has_zero_points(section) else 0


def _ratio(noise: float, present: float) -> float:
    return max(noise / present, LEAST_RATIO) if present > 0 else 1.0


def output_gain_db(shares: ErrorShares, name: str, noise_ratio: float) -> float | None:
    """Return the gain of the output SQNR if the noise of one layer's weights is multiplied by a ratio.

    With s the layer's share, r the ratio, W the error that weights cause and T the total error, the gain is
    -10 log10(1 - s (1 - r) W / T), as far as errors add up. None without a share, for outputs that have no SQNR, and
    where the errors do not add up.
    """
    share = shares.layers.get(name)
    if share is None or not shares.weights or not shares.quantities or not shares.add_up:
        return None
    left = 1 - share.value * (1 - noise_ratio) * shares.weights / shares.total
    return _digits(-decibels(left)) if left > 0 else None


def decibels(ratio: float) -> float:
    """Return a ratio of energies in dB."""
    return 10 * math.log10(ratio)


def _digits(figure: float) -> float:
    """Return a figure with 4 significant digits."""
    return float(f"{figure:.4g}")
