"""The grids of blocks: a scale and a zero point for each block, of least error on the weights themselves.

The error of a block is the sum over its weights of h (w - Q(w))^2, where h is the mean square of the input that the
weight multiplies, or 1 if it is unknown. Tried are fractions of the block's extremes, and for each of them the scale of
least error for the same codes, which is sum(h s w) / sum(h s^2) for codes that stand for s steps from zero.
"""

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.grids.codebook import AffineCodebook, UniformCodebook
from quant.methods.grids.uniform import step

RATIOS = np.array([1.0, 0.93, 0.86, 0.79, 0.72])
"""Fractions of a block's extremes that are tried. More of them gained under 0.05 dB at 4 bits."""
UNCLIPPED = np.ones(1)
"""The only fraction for a rule that clips nothing."""

BlockCodebook = AffineCodebook | UniformCodebook
Rows = NDArray[np.float64]


def search_grids(
    rows: NDArray[np.float32],
    importance: Rows,
    bits: int,
    *,
    zero_points: bool,
    clips: bool,
    compiled: bool,
) -> BlockCodebook:
    """Return the grid of least error of each block.

    Args:
        rows: The blocks (R, n), where the blocks of an output follow each other.
        importance: The mean squares (K,) of the inputs of an output, a multiple of n of them.
        bits: Width of a code.
        zero_points: False if grids are symmetric about zero.
        clips: False if the outermost levels are the extremes of the block.
        compiled: Use a compiled loop.
    """
    if not compiled:
        importance = np.resize(importance, rows.size).reshape(rows.shape)
        return _search(rows, importance, bits, zero_points=zero_points, clips=clips)
    qmax, ratios = 2 ** (bits - 1) - 1, RATIOS if clips else UNCLIPPED
    outputs = rows.size // len(importance)
    scale, zero = np.empty((outputs, len(rows) // outputs), np.float32), np.empty((outputs, len(rows) // outputs))
    dispatch.run(
        "blocks:block_grids", outputs, rows.reshape(outputs, -1), importance, rows.shape[1],
        -qmax - zero_points, qmax, ratios, clips, scale, zero,
    )  # fmt: skip
    return _codebook(scale.reshape(-1), zero.reshape(-1), bits, zero_points=zero_points)


def clipped_grids(
    rows: NDArray[np.float32], bound: Rows, largest: Rows, bits: int, *, zero_points: bool
) -> BlockCodebook:
    """Return the grids of blocks (R, n) whose extremes are multiplied by bound / largest (R,)."""
    ratio = np.divide(bound, largest, out=np.ones_like(bound), where=largest > 0)
    return _grids(rows, ratio, bits, zero_points=zero_points)


def outermost(codebook: BlockCodebook) -> Rows:
    """Return the largest magnitude (R,) of the levels of each block."""
    scale = codebook.scale.astype(np.float64)
    if isinstance(codebook, UniformCodebook):
        return scale * codebook.qmax
    zero = codebook.zero.astype(np.int64)
    return scale * np.maximum(codebook.qmax - zero, codebook.qmax + 1 + zero)


def _search(rows: NDArray[np.float32], importance: Rows, bits: int, *, zero_points: bool, clips: bool) -> BlockCodebook:
    """Return the result of `search_grids` from NumPy; `importance` is (R, n)."""
    best = _grids(rows, np.ones(len(rows)), bits, zero_points=zero_points)
    least = np.full(len(rows), np.inf)
    for ratio in RATIOS if clips else UNCLIPPED:
        tried = _grids(rows, np.full(len(rows), ratio), bits, zero_points=zero_points)
        for book in (tried, _refitted(rows, importance, tried)) if clips else (tried,):
            error = _error(rows, importance, book)
            best = _merged(error < least, book, best)
            least = np.minimum(error, least)
    return best


def _grids(rows: NDArray[np.float32], ratio: Rows, bits: int, *, zero_points: bool) -> BlockCodebook:
    """Return the grids whose outermost levels are about the extremes of each block times its ratio (R,)."""
    low, high = (ratio * side for side in (np.minimum(rows.min(axis=1), 0), np.maximum(rows.max(axis=1), 0)))
    qmax = 2 ** (bits - 1) - 1
    if not zero_points:
        return UniformCodebook(step(np.maximum(-low, high), bits), qmax)
    scale = ((high - low) / (2 * qmax + 1)).astype(np.float32)
    scale = np.where(scale > 0, scale, np.float32(1))
    zero = np.clip(np.rint(-qmax - 1 - low / scale), -qmax - 1, qmax)
    return _codebook(scale, np.where(high > low, zero, 0), bits, zero_points=True)


def _codebook(scale: NDArray[np.float32], zero: Rows, bits: int, *, zero_points: bool) -> BlockCodebook:
    qmax = 2 ** (bits - 1) - 1
    return AffineCodebook(scale, zero.astype(np.int8), qmax) if zero_points else UniformCodebook(scale, qmax)


def _error(rows: NDArray[np.float32], importance: Rows, book: BlockCodebook) -> Rows:
    """Return the error (R,) of each block."""
    difference = _steps(rows, book) * book.scale.astype(np.float64)[:, None] - rows
    error: Rows = np.einsum("rn,rn,rn->r", importance, difference, difference)
    return error


def _refitted(rows: NDArray[np.float32], importance: Rows, book: BlockCodebook) -> BlockCodebook:
    """Return the grids with the scale of least error for the codes that they give."""
    steps = _steps(rows, book)
    product = np.einsum("rn,rn,rn->r", importance, steps, rows)
    energy = np.einsum("rn,rn,rn->r", importance, steps, steps)
    usable = (product > 0) & (energy > 0)
    fitted = np.where(usable, product / np.where(usable, energy, 1), book.scale).astype(np.float32)
    return _with_scale(book, np.where(fitted > 0, fitted, book.scale))


def _with_scale(book: BlockCodebook, scale: NDArray[np.float32]) -> BlockCodebook:
    if isinstance(book, UniformCodebook):
        return UniformCodebook(scale, book.qmax)
    return AffineCodebook(scale, book.zero, book.qmax)


def _merged(mask: NDArray[np.bool_], book: BlockCodebook, other: BlockCodebook) -> BlockCodebook:
    """Return the grids of `book` for the blocks in the mask (R,), and those of `other` for the rest."""
    merged = _with_scale(book, np.where(mask, book.scale, other.scale))
    if isinstance(merged, AffineCodebook) and isinstance(other, AffineCodebook):
        return AffineCodebook(merged.scale, np.where(mask, merged.zero, other.zero), merged.qmax)
    return merged


def _steps(rows: NDArray[np.float32], book: BlockCodebook) -> Rows:
    """Return the steps from zero (R, n) that the codes of the weights stand for."""
    codes = book.encode(rows).astype(np.float64)
    return codes if isinstance(book, UniformCodebook) else codes - book.zero.astype(np.float64)[:, None]
