"""The sufficient statistic of a weight: exact moments and a histogram whose bins are the float's own leading bits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.errors import NonFiniteWeight
from quant.kernel import dispatch

MANTISSA_BITS = 4
"""16 bins an octave: fits from the bins lose at most 4.4e-6 nats a sample."""
OCTAVES = 32
BINS = OCTAVES << MANTISSA_BITS
_SHIFT = 23 - MANTISSA_BITS
TILE = 1 << 18
FEW_WEIGHTS = 192


@dataclass(frozen=True)
class RowStatistics:
    """R rows of a weight, each reduced to what fits and bounds need; all of it from one pass.

    `counts` (R, 2, BINS) counts the non-zero weights, negative ones first, by the bin of |w|; bin k of both halves
    holds `edges[k] <= |w| < edges[k + 1]`, and the lowest bin everything smaller. `rows` are the weights themselves,
    not a copy, for the few rules that measure on them. `compiled` is whether to work on them with compiled dispatch.
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
        return np.maximum(-self.minimum, self.maximum)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "RowStatistics":
        """The same for some of the rows; all of them are not copied."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        parts = {name: value[rows] for name, value in vars(self).items() if name not in ("edges", "compiled")}
        return replace(self, **parts)

    @property
    def few(self) -> bool:
        """Whether rows are so short that the weights are better points than bins are, and no more of them."""
        return bool(self.rows.shape[1] <= FEW_WEIGHTS)

    @property
    def unit(self) -> NDArray[np.float64]:
        """The largest |w| (R,), 1 for a row of zeros."""
        return np.where(self.max_abs > 0, self.max_abs, 1.0)

    @property
    def degenerate(self) -> NDArray[np.bool_]:
        """Rows (R,) of one value, or of zeros."""
        degenerate: NDArray[np.bool_] = (self.minimum == self.maximum) | (self.nonzero == 0)
        return degenerate

    @property
    def nonzero(self) -> NDArray[np.int64]:
        return self.count - self.zeros


def summarise(rows: NDArray[np.float32], compiled: bool = False, largest: float = 0.0) -> RowStatistics:
    """Reduce float32 rows (R, n); sums are taken in double precision.

    Bins reach up to the largest |w| here, or to `largest` where the rows are some of a weight's.

    Raises:
        NonFiniteWeight: a row holds NaN or infinity.
    """
    minimum, maximum = rows.min(axis=1), rows.max(axis=1)
    broken = ~(np.isfinite(minimum) & np.isfinite(maximum))
    if broken.any():
        row = int(broken.argmax())
        raise NonFiniteWeight(f"row {row} of the weight holds NaN or infinity; accepted: finite weights")
    base, edges = _bins(np.float32(max(np.maximum(-minimum, maximum).max(), largest)))
    rows = np.require(rows, requirements=["C", "A", "W"])  # one type of array for the compiled loops
    counts, zeros, sums = (_reduce_compiled if compiled else _reduce)(rows, _places(base))
    return RowStatistics(
        rows=rows,
        count=np.full(len(rows), rows.shape[1], np.int64),
        zeros=zeros,
        minimum=minimum.astype(np.float64),
        maximum=maximum.astype(np.float64),
        sum=sums[0],
        sum_abs=sums[1],
        sum_sq=sums[2],
        counts=counts.reshape(len(rows), 2, BINS),
        edges=edges,
        compiled=compiled,
    )


def _places(base: int) -> NDArray[np.uint16]:
    """Where each code, sign, exponent and top of the mantissa, is counted: negative weights first."""
    codes = np.arange(1 << (32 - _SHIFT))
    half = len(codes) // 2
    return (np.clip(codes % half - base, 0, BINS - 1) + np.where(codes < half, BINS, 0)).astype(np.uint16)


def _reduce_compiled(
    rows: NDArray[np.float32], places: NDArray[np.uint16]
) -> tuple[NDArray[np.int32 | np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """What `_reduce` does, with a compiled loop; long rows in tiles, so that threads can share them."""
    number, length = rows.shape
    width = TILE if length >= 2 * TILE else max(length, 1)
    per_row = -(-length // width)
    tiles = number * max(per_row, 1)
    counts, zeros, sums = np.empty((tiles, 2 * BINS), np.int32), np.empty(tiles, np.int64), np.empty((3, tiles))
    dispatch.run(
        "histogram:reduce_rows", tiles, rows, rows.view(np.uint32), width, per_row, np.uint32(_SHIFT), places, counts,
        zeros, sums,
    )  # fmt: skip
    if per_row > 1:
        counts = counts.reshape(number, per_row, -1).sum(axis=1, dtype=np.int32 if length < 1 << 31 else np.int64)
        zeros, sums = zeros.reshape(number, per_row).sum(axis=1), sums.reshape(3, number, per_row).sum(axis=2)
    return counts, zeros, sums


def _reduce(
    rows: NDArray[np.float32], places: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Counts (R, 2 BINS) of the non-zero weights, zeros (R,) and sums (3, R), tile by tile, small for the cache."""
    counts, sums = np.zeros((len(rows), 2 * BINS), np.int64), np.zeros((3, len(rows)))
    bits, codes = rows.view(np.uint32), len(places)
    for part, columns in tiles(rows.shape):
        wide = rows[part, columns].astype(np.float64)
        sums[0, part] += wide.sum(axis=1)
        sums[2, part] += np.einsum("rn,rn->r", wide, wide)
        sums[1, part] += np.abs(wide, out=wide).sum(axis=1)
        leading = bits[part, columns] >> _SHIFT
        number = len(leading)
        leading += (np.arange(number, dtype=np.uint32) * codes)[:, None]
        found = np.bincount(leading.ravel(), minlength=number * codes).reshape(number, codes)
        found[:, 0] -= (bits[part, columns] == 0).sum(axis=1)
        found[:, codes // 2] -= (bits[part, columns] == 1 << 31).sum(axis=1)
        for code in np.flatnonzero(found.any(axis=0)):  # a few hundred at most
            counts[part, places[code]] += found[:, code]
    return counts, rows.shape[1] - counts.sum(axis=1), sums


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Slices of rows and columns that cover (R, n) in tiles of about TILE weights."""
    width = min(shape[1], TILE)
    height = max(TILE // max(width, 1), 1)
    for row in range(0, shape[0], height):
        for column in range(0, shape[1], max(width, 1)):
            yield slice(row, row + height), slice(column, column + width)


def _bins(largest: np.float32) -> tuple[int, NDArray[np.float64]]:
    """The code of the lowest bin and the edges (BINS + 1,), so that the highest bin holds the largest |w|."""
    top = int(largest.view(np.uint32)) >> _SHIFT
    base = max((top | 1) - BINS + 1, 0)  # even, so that pairs of bins are the same bits in every layer
    edges = ((base + np.arange(BINS + 1, dtype=np.uint32)) << _SHIFT).astype(np.uint32).view(np.float32)
    largest_float = float(np.finfo(np.float32).max)  # the highest bin may reach into the patterns of infinity and NaN
    return base, np.nan_to_num(edges, nan=largest_float, posinf=largest_float).astype(np.float64)
