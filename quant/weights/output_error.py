"""The bound that costs least at the layer's output, row by row."""

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
"""Shrink factors of the largest |w| that are tried beside the rules."""
SCALES = np.arange(0.7, 1.25, 0.05)
"""Factors of all levels, for grids that take no bound."""
PROMISING = 3
"""Tries of a row whose output error is computed as it is: the others cost more if the inputs were independent."""
AT_ONCE = 1 << 23
"""Weights that are rounded in one pass: 64 MB of them, a few times over."""


def least_output_error(
    problem: LayerProblem, fitted: FittedWeight, grid: GridBase, rounding: RoundingBase, bits: int
) -> tuple[NDArray[np.float64], AnyCodebook]:
    """The bound (R,) of least dW H dW^T among the rules' and a search, and its codebook; dW after the rounding itself.

    Where the grid takes no bound, a factor of its levels is searched.
    """
    statistics, fit = fitted.statistics, fitted.fit
    largest = statistics.max_abs
    widest = grid.build(statistics, fit, largest, bits)
    if np.array_equal(widest.levels, grid.build(statistics, fit, largest / 2, bits).levels):
        bounds = [largest] * len(SCALES)
        books = [widest.scaled(np.full(len(largest), factor)) for factor in SCALES]
    else:
        bounds = [rule.bound(statistics, fit, bits) for rule in RULES]
        bounds += [ratio * largest for ratio in RATIOS]
        books = [grid.build(statistics, fit, bound, bits) for bound in bounds]
    if not rounding.needs_moments:
        tried = _promising(problem, books, compiled=statistics.compiled)
        books, bounds = [_mixed(books, one) for one in tried], [_picked(bounds, one) for one in tried]
    best = np.argmin(_errors(problem, rounding, books), axis=0)
    return _picked(bounds, best), _mixed(books, best)


def _promising(problem: LayerProblem, books: Sequence[AnyCodebook], *, compiled: bool) -> list[NDArray[np.intp]]:
    """Numbers of codebooks (R,): for all rows the first, then each row's best few if inputs were independent."""
    rough = problem.rough_errors(books, compiled=compiled)
    order = np.argsort(rough, axis=0, kind="stable")
    return [np.zeros(rough.shape[1], np.intp), *order[:PROMISING]]


def _errors(problem: LayerProblem, rounding: RoundingBase, books: Sequence[AnyCodebook]) -> NDArray[np.float64]:
    """The output error of each codebook and row (B, R), of those that go one input after the other as many at once as
    memory allows."""
    if not rounding.needs_moments:
        return np.stack([problem.error(rounding.round(problem, book)) for book in books])
    together = max(AT_ONCE // problem.matrix.size, 1)
    errors = []
    for start in range(0, len(books), together):
        group = books[start : start + together]
        stacked = problem.repeated(len(group))
        errors.append(stacked.error(rounding.round(stacked, _joined(group))).reshape(len(group), -1))
    return np.concatenate(errors)


def _picked(bounds: Sequence[NDArray[np.float64]], numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    """The bound (R,) that each row's number says."""
    return np.stack(bounds)[numbers, np.arange(len(numbers))]


def _joined(books: Sequence[AnyCodebook]) -> AnyCodebook:
    """The rows of all codebooks, one after the other."""
    names = [field.name for field in fields(books[0]) if isinstance(getattr(books[0], field.name), np.ndarray)]
    parts = {name: np.concatenate([getattr(book, name) for book in books]) for name in names}
    return replace(books[0], **parts)  # type: ignore[arg-type]


def _mixed(books: Sequence[AnyCodebook], best: NDArray[np.intp]) -> AnyCodebook:
    """The codebook whose rows come from the one that is best for each."""
    rows = np.arange(len(best))
    return _joined(books).select_rows(best * len(best) + rows)
