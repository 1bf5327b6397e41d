"""Search for the clip bounds of least output error, row by row.

The output error of a row is dW H dW^T, with dW the change of its weights after rounding and H = E[x x^T] the second
moments of the layer's inputs. Tried are the bounds of several clip rules and fractions of the largest |w|; for grids
that ignore the bound, factors of all levels. See docs/methods.md, 'Bounds by output error'.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.mae import Mae
from quant.methods.clipping.minmax import MinMax
from quant.methods.clipping.mse import Mse
from quant.methods.clipping.percentile import Percentile
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import AnyCodebook
from quant.methods.rounding.base import RoundingBase
from quant.weights.layer_problem import LayerProblem
from quant.weights.quantize import FittedWeight

RULES: Sequence[ClipRuleBase] = (MinMax(), Mae(), Mse(), Percentile(q=99.9))
RATIOS = np.arange(0.95, 0.45, -0.05)
"""Fractions of the largest |w| that are tried besides the rules."""
LEVEL_FACTORS = np.arange(0.7, 1.25, 0.05)
"""Factors of all levels that are tried for grids that ignore the bound."""
EXACT_CANDIDATES = 3
"""Candidates of each row whose exact output error is computed; the others cost more if inputs were independent."""
WEIGHTS_AT_ONCE = 1 << 23
"""Weights that are rounded in one pass: 64 MB of them, a few times over."""


def minimise_output_error(
    problem: LayerProblem, fitted: FittedWeight, grid: GridBase, rounding: RoundingBase, bits: int
) -> tuple[NDArray[np.float64], AnyCodebook]:
    """Return the bound (R,) of least output error among the candidates, in the weight's unit, and its codebook.

    Args:
        problem: The layer's rounding problem.
        fitted: The layer's weight and its fit.
        grid: The grid that codebooks are built by.
        rounding: The rounding after which the error is computed.
        bits: Width of a code.
    """
    bounds, books = _candidates(fitted, grid, bits)
    if not rounding.needs_moments:
        chosen = _promising(problem, books, compiled=fitted.statistics.compiled)
        books = [_codebook_of_rows(books, numbers) for numbers in chosen]
        bounds = [_bound_of_rows(bounds, numbers) for numbers in chosen]
    best = np.argmin(_output_errors(problem, rounding.for_search(), books), axis=0)
    return _bound_of_rows(bounds, best), _codebook_of_rows(books, best)


def _candidates(fitted: FittedWeight, grid: GridBase, bits: int) -> tuple[list[NDArray[np.float64]], list[AnyCodebook]]:
    """Return the bounds (R,) to try and the codebook of each."""
    statistics, fit = fitted.statistics, fitted.fit
    largest = statistics.max_abs
    widest = grid.build(statistics, fit, largest, bits)
    ignores_bound = np.array_equal(widest.levels, grid.build(statistics, fit, largest / 2, bits).levels)
    if ignores_bound:
        books = [widest.scaled(np.full(len(largest), factor)) for factor in LEVEL_FACTORS]
        return [largest] * len(books), books
    bounds = [rule.bound(statistics, fit, bits, mid_rise=grid.mid_rise) for rule in RULES]
    bounds += [ratio * largest for ratio in RATIOS]
    return bounds, [grid.build(statistics, fit, bound, bits) for bound in bounds]


def _promising(problem: LayerProblem, books: Sequence[AnyCodebook], *, compiled: bool) -> list[NDArray[np.intp]]:
    """Return lists (R,) of codebook numbers: the first codebook for all rows, then the best few of each row.

    The best are those of least error if inputs were independent.
    """
    errors = problem.independent_errors(books, compiled=compiled)
    order = np.argsort(errors, axis=0, kind="stable")
    return [np.zeros(errors.shape[1], np.intp), *order[:EXACT_CANDIDATES]]


def _output_errors(problem: LayerProblem, rounding: RoundingBase, books: Sequence[AnyCodebook]) -> NDArray[np.float64]:
    """Return the output error of each codebook and row (B, R).

    A rounding that goes input by input tries as many codebooks in one pass as memory allows.
    """
    if not rounding.needs_moments:
        return np.stack([problem.error(rounding.round(problem, book)) for book in books])
    together = max(WEIGHTS_AT_ONCE // problem.matrix.size, 1)
    errors = []
    for start in range(0, len(books), together):
        group = books[start : start + together]
        repeated = problem.repeat(len(group))
        errors.append(repeated.error(rounding.round(repeated, _concatenate(group))).reshape(len(group), -1))
    return np.concatenate(errors)


def _bound_of_rows(bounds: Sequence[NDArray[np.float64]], numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the bound (R,) that takes each row from the candidate with the row's number (R,)."""
    return np.stack(bounds)[numbers, np.arange(len(numbers))]


def _codebook_of_rows(books: Sequence[AnyCodebook], numbers: NDArray[np.intp]) -> AnyCodebook:
    """Return the codebook that takes each row from the candidate with the row's number (R,)."""
    return _concatenate(books).select_rows(numbers * len(numbers) + np.arange(len(numbers)))


def _concatenate(books: Sequence[AnyCodebook]) -> AnyCodebook:
    """Return one codebook with the rows of all codebooks, which are of one type."""
    names = [field.name for field in fields(books[0]) if isinstance(getattr(books[0], field.name), np.ndarray)]
    parts = {name: np.concatenate([getattr(book, name) for book in books]) for name in names}
    return replace(books[0], **parts)  # type: ignore[arg-type]
