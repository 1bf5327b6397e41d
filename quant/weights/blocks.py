"""Weights with a scale for each block, quantized some output channels at a time.

A block is too short to choose a family of distributions by, and has too many neighbours for a histogram of its own. One
distribution is therefore fitted to all weights of the layer, each divided by the root mean square (rms) of its block.
The distribution of a block is this one, multiplied by its rms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import Moments
from quant.errors import NonFiniteWeight
from quant.graph.inventory import Layer
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.codebook import AffineCodebook
from quant.methods.grids.expected_error import expected_error_between_extremes, expected_weight_error
from quant.spec import Weights
from quant.weights.block_grids import BlockCodebook, clipped_grids, outermost, search_grids
from quant.weights.errors import RowErrors
from quant.weights.granularity import Granularity, PerBlock, PerChannel, PerTensor
from quant.weights.layer_problem import LayerProblem
from quant.weights.quantize import FittedWeight, QuantizedWeight, encode_weight

FIT_NOTE = "the distribution was fitted to all weights, each divided by the root mean square of its block"
WEIGHTS_AT_ONCE = 1 << 20
"""Weights of a part, if that is more than one output."""
EXPECTED_BLOCKS = 1 << 10
"""Blocks of a layer whose expected errors are computed."""
ROWS_AT_ONCE = 1 << 12
"""Blocks of a part whose histograms a clip rule reads."""
MAX_ZERO_POINT_BITS = 4
"""The widest codes that have zero points. At 4 bits in blocks of 32 they take 2.5 % of the bytes and raise the SQNR of
the weights by 1.4 dB; at 8 bits they would do so by 0.1 dB."""


def fit_blocks(
    weight: NDArray[np.float32], granularity: PerBlock, section: Weights, compiled: bool, name: str
) -> FittedWeight:
    """Return the weight as one row, with the families fitted to its weights divided by the rms of their block.

    The statistics hold no weights.

    Raises:
        NonFiniteWeight: the weight holds NaN or infinity.
    """
    rows = granularity.rows(weight)
    rms = _rms(rows)
    if not np.isfinite(rms).all():
        raise NonFiniteWeight(f"layer {name!r}: the weight holds NaN or infinity; accepted: finite weights")
    np.divide(rows, rms[:, None].astype(np.float32), out=rows)
    statistics = summarise(rows.reshape(1, -1), compiled)
    fit = select(statistics, section.distributions, section.selection)
    fit = replace(fit, notes=(*fit.notes, FIT_NOTE))
    without_rows = replace(statistics, rows=np.empty((1, 0), np.float32))  # a view would keep them in memory
    return FittedWeight(weight.shape, PerTensor(), without_rows, fit)


def has_zero_points(section: Weights) -> bool:
    """Return True if the blocks of a section have zero points."""
    return not section.symmetric and section.bits <= MAX_ZERO_POINT_BITS


@dataclass(frozen=True)
class BlockQuantizer:
    """The quantization of one layer in blocks.

    Attributes:
        layer: The layer, a product with one matrix, or with one for each direction of a sequence.
        section: Its section of the spec.
        granularity: The blocks, along the matrix's axis of inputs.
        fitted: The result of `fit_blocks`.
        moments: Moments of the layer's inputs; None if they are unknown.
    """

    layer: Layer
    section: Weights
    granularity: PerBlock
    fitted: FittedWeight
    moments: Moments | None = None

    def quantize(self, weight: NDArray[np.float32]) -> QuantizedWeight:
        """Return the layer's weight, or some of its outputs, quantized; the errors are sums over each output."""
        axis = self.layer.axis
        codes = np.empty(weight.shape, np.int8)
        slices = [*self._parts(weight.shape)]
        parts: list[QuantizedWeight] = []
        known = []
        for part in slices:
            quantized, errors = self._quantize_part(weight[part], EXPECTED_BLOCKS // len(slices))
            codes[part] = quantized.codes
            parts.append(replace(quantized, codes=quantized.codes[:0], errors=self._by_output(quantized.errors)))
            known.append(errors)
        zero = [part.zero for part in parts if part.zero is not None]
        scale = np.concatenate([part.scale for part in parts], axis=axis)
        channels = is_table(self.section)
        return QuantizedWeight(
            codes=codes,
            scale=scale.reshape(-1) if channels else scale,
            bits=self.section.bits,
            granularity=PerChannel(axis) if channels else self.granularity,
            clip=np.concatenate([part.clip for part in parts]),
            errors=_with_expected(RowErrors.concatenate([part.errors for part in parts]), known, weight.size),
            zero=np.concatenate(zero, axis=axis) if zero else None,
        )

    def fit_part(self, weight: NDArray[np.float32], *, histogram: bool = False) -> FittedWeight:
        """Return the blocks of some outputs, each with the layer's distribution multiplied by its rms."""
        compiled = self.fitted.statistics.compiled
        statistics = summarise(self.granularity.rows(weight), compiled, histogram=histogram)
        fit = self.fitted.fit.at_scales(_rms(statistics.rows))
        return FittedWeight(weight.shape, self.granularity, statistics, fit)

    @property
    def _blocks(self) -> int:
        """The number of blocks of an output."""
        return -(-self.layer.shape[self.granularity.axis] // self.granularity.size)

    @property
    def _searches(self) -> bool:
        """True if the grids are searched on the weights; otherwise a clip rule gives the bounds."""
        return self.section.clipping.uses_moments or not self.section.clipping.clips

    def _parts(self, shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
        """Yield slices of some outputs each; all outputs at once for a clip rule that needs the whole weight.

        A rounding that needs moments inverts them for each part, so that its parts have as many outputs as inputs.
        """
        outputs, inputs = shape[self.layer.axis], shape[self.granularity.axis]
        length = max(WEIGHTS_AT_ONCE // inputs, inputs if self.section.rounding.needs_moments else 1)
        if not self._searches:
            length = max(ROWS_AT_ONCE // self._blocks, 1) if self.section.clipping.by_row else outputs
        if shape[:-2] not in ((), (1,)):  # the outputs of both directions of a sequence would be mixed
            length = outputs
        for start in range(0, outputs, length):
            yield (slice(None),) * self.layer.axis + (slice(start, start + length),)

    def _quantize_part(self, weight: NDArray[np.float32], most: int) -> tuple[QuantizedWeight, NDArray[np.float64]]:
        """Return a part of the weight quantized, and the sums (2, 2) of measured and expected errors of some blocks.

        The sums are of the absolute and the squared errors of `most` blocks, at least one, evenly chosen.
        """
        fitted = self.fit_part(weight, histogram=not self._searches)
        codebook, values = self._codebook(fitted), fitted.statistics.rows
        if self.moments is not None:
            problem = LayerProblem.from_layer(self.layer, self.granularity, self.moments, weight)
            levels = problem.rounded(self.section.rounding, codebook)
            gain = problem.gain(levels)
            codebook, values = codebook.scaled(gain), problem.restore(levels) * gain[:, None].astype(np.float32)
        quantized = encode_weight(fitted, self.section, outermost(codebook), codebook, values, expected=False)
        count = min(max(most, 1), len(values))
        chosen = np.arange(count) * len(values) // count
        statistics, fit = fitted.statistics.select_rows(chosen), fitted.fit.select_rows(chosen)
        by_fit = expected_error_between_extremes if isinstance(codebook, AffineCodebook) else expected_weight_error
        expected = np.stack(by_fit(statistics, fit, codebook.select_rows(chosen)))
        measured = np.stack([quantized.errors.absolute[chosen], quantized.errors.square[chosen]])
        return quantized, np.stack([measured.sum(axis=1), expected.sum(axis=1) * self.granularity.size])

    def _codebook(self, fitted: FittedWeight) -> BlockCodebook:
        """Return the grid of each block."""
        statistics, bits, zero_points = fitted.statistics, self.section.bits, has_zero_points(self.section)
        if not self._searches:
            bound = self.section.clipping.bound(statistics, fitted.fit, bits)
            return clipped_grids(statistics.rows, bound, statistics.max_abs, bits, zero_points=zero_points)
        return search_grids(
            statistics.rows,
            self._importance(),
            bits,
            zero_points=zero_points,
            clips=self.section.clipping.clips,
            compiled=statistics.compiled,
        )

    def _importance(self) -> NDArray[np.float64]:
        """Return the mean square (K,) of each input, 1 if it is unknown, and 0 for the padding of the last block."""
        importance = np.zeros(self._blocks * self.granularity.size)
        inputs = self.layer.shape[self.granularity.axis]
        importance[:inputs] = 1 if self.moments is None else self.moments.diagonal.mean(axis=0)
        return importance

    def _by_output(self, errors: RowErrors) -> RowErrors:
        """Return the errors of blocks summed over the blocks of each output; ratios and expected errors are means."""
        by_block = [getattr(errors, field.name).reshape(-1, self._blocks) for field in fields(errors)]
        sums, means = [values.sum(axis=1) for values in by_block[:4]], [_mean(values) for values in by_block[4:]]
        return RowErrors(*sums, *means)


def is_table(section: Weights) -> bool:
    """Return True if the section is that of a table or a head with a scale for each channel, which is one block."""
    return (section.tables, section.granularity, section.bits) == ("int8", "channel", 8) and section.grid.uniform


def blocks_of(layer: Layer, section: Weights, granularity: Granularity) -> PerBlock | None:
    """Return the blocks that a weight is quantized in; the channels of a table are blocks; None for other channels."""
    if isinstance(granularity, PerChannel) and is_table(section):
        return PerBlock(1 - granularity.axis, layer.shape[1 - granularity.axis])
    return granularity if isinstance(granularity, PerBlock) else None


def _with_expected(errors: RowErrors, known: Sequence[NDArray[np.float64]], size: int) -> RowErrors:
    """Return the errors of outputs with expected errors, of a weight.

    They are the measured errors times the ratio of expected to measured errors of some blocks.

    Args:
        errors: the errors of all outputs.
        known: the sums (2, 2) of measured and expected, absolute and squared errors of some blocks.
        size: the number of weights.
    """
    measured, expected = np.sum(known, axis=0)
    ratio = np.divide(expected, measured, out=np.zeros(2), where=measured > 0) * (len(errors.square) / size)
    return replace(errors, expected_absolute=errors.absolute * ratio[0], expected_square=errors.square * ratio[1])


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean (R,) of the values (R, n) that are not NaN; NaN if there are none."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    mean: NDArray[np.float64] = np.full(len(values), np.nan)
    np.divide(np.where(known, values, 0).sum(axis=1), count, out=mean, where=count > 0)
    return mean


def _rms(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the root mean square (R,) of the weights of each block; 1 for a block of zeros."""
    rms = np.sqrt(np.einsum("rn,rn->r", rows, rows, dtype=np.float64) / rows.shape[1])
    return np.where(rms == 0, 1.0, np.maximum(rms, np.finfo(np.float32).tiny))
