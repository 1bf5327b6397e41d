"""Errors of the uniform quantizer on the weights themselves, and the clip bounds that minimise them, row by row.

The NumPy references are `measured_error`, `histogram_error` and the rules in `quant.methods.clipping.empirical`.
"""

import math

import numpy as np

from quant.kernel.compile import Array, compiled, inner, reordered
from quant.kernel.sample import highest_bin


@compiled
def measured_errors(
    first: int, last: int, rows: Array, clip: Array, outermost: float, offset: float, mae: Array, mse: Array
) -> None:
    """Fill mae and mse (R,) of equally spaced levels up to clip bounds (R,), measured on rows (R, n)."""
    for r in range(first, last):
        mae[r], mse[r] = _measured(rows[r], clip[r], outermost, offset)


@compiled
def empirical_bounds(
    first: int,
    last: int,
    absolute: bool,
    outermost: float,
    offset: float,
    rows: Array,
    few: bool,
    short: bool,
    counts: Array,
    edges: Array,
    width: int,
    largest: Array,
    coarse: Array,
    fine: Array,
    refinements: int,
    bounds: Array,
) -> None:
    """Fill bounds (R,) with the clip bound of least MAE (if `absolute`) or MSE.

    The levels in steps are those of `EvenLevels`: up to `outermost`, and `offset` from integers.
    A search over the ratio of the bound to the largest |w|: first the `coarse` ratios, then `refinements` times the
    `fine` exponents around the best ratio. The error is measured on the weights themselves if they are `few`, and
    otherwise on the `width` highest bins of the histogram. The last refinement of `short` rows also measures on the
    weights, and tries the ratio 1 as well.
    """
    cells, work = np.empty((2, width + 1)), np.empty((2, width + 1))
    ratios = np.empty(coarse.size + fine.size + 1)
    for r in range(first, last):
        number = 0 if few or largest[r] <= 0 else _read_density(counts[r], edges, largest[r], width, cells)
        best, spacing = 1.0, math.log(coarse[1] / coarse[0])
        for refinement in range(refinements + 1):
            count = coarse.size if refinement == 0 else fine.size
            for at in range(count):
                ratios[at] = coarse[at] if refinement == 0 else min(best * math.exp(spacing * fine[at]), 1.0)
            spacing *= 1.0 if refinement == 0 else fine[1] - fine[0]
            measured = few or (short and refinement == refinements)
            if short and refinement == refinements:
                ratios[count] = 1.0
                count += 1
            least = math.inf
            for at in range(count):
                bound = max(ratios[at] * largest[r], 1e-300)
                if measured:
                    errors = _measured(rows[r], bound, outermost, offset)
                else:
                    errors = _binned(cells, number, bound, outermost, offset, work)
                error = errors[0] if absolute else errors[1]
                if error < least:
                    least, best = error, ratios[at]
        bounds[r] = best * largest[r]


@reordered
def _measured(weights: Array, bound: float, outermost: float, offset: float) -> tuple[float, float]:
    """Return MAE and MSE on the weights, in the float32 arithmetic of the quantizer."""
    step = np.float32(max(bound / outermost, 1.1754943508222875e-38))
    limit, shift = np.float32(outermost), np.float32(offset)
    absolute, square = 0.0, 0.0
    for at in range(weights.size):
        level = min(max(np.rint(weights[at] / step - shift) + shift, -limit), limit)
        error = np.float64(abs(level * step - weights[at]))
        absolute += error
        square += error * error
    return absolute / weights.size, square / weights.size


@inner
def _read_density(counts: Array, edges: Array, largest: float, width: int, cells: Array) -> int:
    """Fill cells[0] with edges (M + 1,) from 0 to the largest |w| and cells[1] with densities (M,); return M."""
    top = highest_bin(counts)
    lowest, total = max(top - width + 1, 0), 0
    number = top - lowest + 1
    cells[1, :number] = 0
    for column in range(top + 1):
        both = counts[0, column] + counts[1, column]
        total += both
        cells[1, max(column - lowest, 0)] += both
    for cell in range(number):
        cells[0, cell] = edges[lowest + cell] if cell else 0.0
    cells[0, number] = largest
    for cell in range(number):
        across = cells[0, cell + 1] - cells[0, cell]
        cells[1, cell] = cells[1, cell] / total / across if across > 0 else 0.0
    return number


@reordered
def _binned(
    cells: Array, number: int, bound: float, outermost: float, offset: float, work: Array
) -> tuple[float, float]:
    """Return MAE and MSE of weights that are uniform within each cell, from integrals of the error between edges."""
    step = bound / outermost
    limits, density, absolutes, squares = cells[0], cells[1], work[0], work[1]
    for at in range(number + 1):
        within = min(limits[at], bound)
        beyond = max(limits[at] - bound, 0.0)
        level = np.rint(within / step - offset) + offset
        distance = within - level * step  # from the nearest level, in [-step/2, step/2]
        absolutes[at] = level * step * step / 4 + distance * abs(distance) / 2 + beyond * beyond / 2
        cube = level * step * step * step
        squares[at] = cube / 12 + distance * distance * distance / 3 + beyond * beyond * beyond / 3
    absolute, square = 0.0, 0.0
    for at in range(number):
        absolute += density[at] * (absolutes[at + 1] - absolutes[at])
        square += density[at] * (squares[at + 1] - squares[at])
    return absolute, square
