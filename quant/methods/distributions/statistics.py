"""Row statistics: exact moments and a histogram of each row of a weight, from one pass over it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.errors import NonFiniteWeight
from quant.kernel import dispatch

MANTISSA_BITS = 4
"""Leading bits of the mantissa that name a bin: 16 bins an octave. Fits from the bins lose at most 4.4e-6 nats a
sample."""
OCTAVES = 32
"""Octaves below the largest |w| that the histogram covers; the lowest bin also holds everything smaller."""
BINS = OCTAVES << MANTISSA_BITS
_SHIFT = 23 - MANTISSA_BITS
TILE = 1 << 18
"""Weights of a tile: small enough for the processor's cache."""
MAX_EXACT_WEIGHTS = 192
"""Length of a row up to which its weights, not its bins, are the points of a fit."""


@dataclass(frozen=True)
class RowStatistics:
    """Statistics of R rows of n weights each, from which families are fitted and bounds derived.

    Fields are (R,) where nothing else is said; sums are in double precision.

    Attributes:
        rows: The weights themselves (R, n), not a copy, for the rules that measure errors on them.
        count: Number of weights.
        zeros: Number of exact zeros.
        minimum: Smallest weight.
        maximum: Largest weight.
        sum: Sum of the weights.
        sum_abs: Sum of |w|.
        sum_sq: Sum of w^2.
        counts: Histogram (R, 2, BINS) of the non-zero weights by |w|: negative weights first, then positive ones;
            (R, 2, 0) if it was left out.
        edges: Edges (BINS + 1,) of the bins. Bin k holds edges[k] <= |w| < edges[k + 1]; bin 0 also what is smaller.
        compiled: True if compiled loops are to work on these rows.
    """

    rows: NDArray[np.float32]
    count: NDArray[np.int64]
    zeros: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    sum: NDArray[np.float64]
    sum_abs: NDArray[np.float64]
    sum_sq: NDArray[np.float64]
    counts: NDArray[np.int32 | np.int64]
    edges: NDArray[np.float64]
    compiled: bool = False

    @property
    def max_abs(self) -> NDArray[np.float64]:
        """The largest |w| (R,); 0 for a row of zeros."""
        return np.maximum(-self.minimum, self.maximum)

    @property
    def unit(self) -> NDArray[np.float64]:
        """The largest |w| (R,); 1 for a row of zeros, so that it can divide."""
        return np.where(self.max_abs > 0, self.max_abs, 1.0)

    @property
    def nonzero(self) -> NDArray[np.int64]:
        """The number of non-zero weights (R,)."""
        return self.count - self.zeros

    @property
    def exact_points(self) -> bool:
        """True if the rows are so short that fits use the weights themselves, which are no more than the bins."""
        return bool(self.rows.shape[1] <= MAX_EXACT_WEIGHTS)

    @property
    def degenerate(self) -> NDArray[np.bool_]:
        """Mask (R,) of the rows that hold one value only, or zeros only."""
        degenerate: NDArray[np.bool_] = (self.minimum == self.maximum) | (self.nonzero == 0)
        return degenerate

    def select_rows(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "RowStatistics":
        """Return the statistics of the rows in a mask (R,) or a list of row numbers; a full mask copies nothing."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        parts = {name: value[rows] for name, value in vars(self).items() if name not in ("edges", "compiled")}
        return replace(self, **parts)


def summarise(
    rows: NDArray[np.float32], compiled: bool = False, largest: float = 0.0, *, histogram: bool = True
) -> RowStatistics:
    """Return the statistics of float32 rows (R, n).

    Args:
        rows: The weights; each row shares one scale.
        compiled: Use compiled loops, here and in everything that reads the statistics.
        largest: Largest |w| of the whole weight where `rows` are only a part of it. The bins reach up to it, so that
            all parts have the same bins.
        histogram: False to leave the histogram out: for short rows it takes more memory than the weights.

    Raises:
        NonFiniteWeight: a row holds NaN or infinity.
    """
    minimum, maximum = rows.min(axis=1), rows.max(axis=1)
    non_finite = ~(np.isfinite(minimum) & np.isfinite(maximum))
    if non_finite.any():
        row = int(non_finite.argmax())
        raise NonFiniteWeight(f"row {row} of the weight holds NaN or infinity; accepted: finite weights")
    base, edges = _bins(np.float32(max(np.maximum(-minimum, maximum).max(), largest)))
    rows = np.require(rows, requirements=["C", "A", "W"])  # one type of array for the compiled loops
    reduce = (_reduce_compiled if compiled else _reduce) if histogram else _reduce_without_histogram
    counts, zeros, sums = reduce(rows, _bin_numbers(base))
    return RowStatistics(
        rows=rows,
        count=np.full(len(rows), rows.shape[1], np.int64),
        zeros=zeros,
        minimum=minimum.astype(np.float64),
        maximum=maximum.astype(np.float64),
        sum=sums[0],
        sum_abs=sums[1],
        sum_sq=sums[2],
        counts=counts.reshape(len(rows), 2, BINS if histogram else 0),
        edges=edges,
        compiled=compiled,
    )


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield slices of rows and columns that cover an array (R, n) in tiles of about TILE weights."""
    width = min(shape[1], TILE)
    height = max(TILE // max(width, 1), 1)
    for row in range(0, shape[0], height):
        for column in range(0, shape[1], max(width, 1)):
            yield slice(row, row + height), slice(column, column + width)


def _bins(largest: np.float32) -> tuple[int, NDArray[np.float64]]:
    """Return the code of the lowest bin and the edges (BINS + 1,) of bins whose highest holds the largest |w|."""
    top = int(largest.view(np.uint32)) >> _SHIFT
    base = max((top | 1) - BINS + 1, 0)  # even, so that pairs of bins are the same bits in every layer
    edges = ((base + np.arange(BINS + 1, dtype=np.uint32)) << _SHIFT).astype(np.uint32).view(np.float32)
    largest_float = float(np.finfo(np.float32).max)  # the highest bin may reach into the patterns of infinity and NaN
    return base, np.nan_to_num(edges, nan=largest_float, posinf=largest_float).astype(np.float64)


def _bin_numbers(base: int) -> NDArray[np.uint16]:
    """Return the bin of each code, where a code is a float's sign, exponent and leading bits of the mantissa.

    Bins of negative weights come first.
    """
    codes = np.arange(1 << (32 - _SHIFT))
    half = len(codes) // 2
    return (np.clip(codes % half - base, 0, BINS - 1) + np.where(codes < half, BINS, 0)).astype(np.uint16)


def _reduce_compiled(
    rows: NDArray[np.float32], bin_numbers: NDArray[np.uint16]
) -> tuple[NDArray[np.int32 | np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the result of `_reduce` from a compiled loop; long rows are cut into tiles that threads can share."""
    number, length = rows.shape
    width = TILE if length >= 2 * TILE else max(length, 1)
    per_row = -(-length // width)
    total = number * max(per_row, 1)
    counts, zeros, sums = np.empty((total, 2 * BINS), np.int32), np.empty(total, np.int64), np.empty((3, total))
    dispatch.run(
        "histogram:reduce_rows", total, rows, rows.view(np.uint32), width, per_row, np.uint32(_SHIFT), bin_numbers,
        counts, zeros, sums,
    )  # fmt: skip
    if per_row > 1:
        counts = counts.reshape(number, per_row, -1).sum(axis=1, dtype=np.int32 if length < 1 << 31 else np.int64)
        zeros, sums = zeros.reshape(number, per_row).sum(axis=1), sums.reshape(3, number, per_row).sum(axis=2)
    return counts, zeros, sums


def _reduce(
    rows: NDArray[np.float32], bin_numbers: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return counts (R, 2 BINS) of the non-zero weights, zeros (R,) and sums of w, |w| and w^2 (3, R)."""
    counts, sums = np.zeros((len(rows), 2 * BINS), np.int64), np.zeros((3, len(rows)))
    for part, columns in tiles(rows.shape):
        sums[:, part] += _sums(rows[part, columns].astype(np.float64))
        by_code = _count_codes(rows.view(np.uint32)[part, columns], len(bin_numbers))
        for code in np.flatnonzero(by_code.any(axis=0)):  # a few hundred at most
            counts[part, bin_numbers[code]] += by_code[:, code]
    return counts, rows.shape[1] - counts.sum(axis=1), sums


def _reduce_without_histogram(
    rows: NDArray[np.float32], _bin_numbers: NDArray[np.uint16]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """Return the result of `_reduce` with counts (R, 0)."""
    zeros, sums = np.zeros(len(rows), np.int64), np.zeros((3, len(rows)))
    for part, columns in tiles(rows.shape):
        wide = rows[part, columns].astype(np.float64)
        zeros[part] += wide.shape[1] - np.count_nonzero(wide, axis=1)
        sums[:, part] += _sums(wide)
    return np.zeros((len(rows), 0), np.int32), zeros, sums


def _sums(wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums (3, R) of w, |w| and w^2 of rows (R, n), which become their magnitudes in place."""
    total, square = wide.sum(axis=1), np.einsum("rn,rn->r", wide, wide)
    return np.stack([total, np.abs(wide, out=wide).sum(axis=1), square])


def _count_codes(bits: NDArray[np.uint32], codes: int) -> NDArray[np.int64]:
    """Return how many non-zero weights of each row (R, n), seen as bits, have each code: (R, codes)."""
    leading = bits >> _SHIFT
    number = len(leading)
    leading += (np.arange(number, dtype=np.uint32) * codes)[:, None]
    by_code = np.bincount(leading.ravel(), minlength=number * codes).reshape(number, codes)
    by_code[:, 0] -= (bits == 0).sum(axis=1)
    by_code[:, codes // 2] -= (bits == 1 << 31).sum(axis=1)  # negative zeros
    return by_code
