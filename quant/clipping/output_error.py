"""The bound that costs least at the layer's output, row by row."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quant.clipping.base import ClipRuleBase
from quant.clipping.mae import Mae
from quant.clipping.minmax import MinMax
from quant.clipping.mse import Mse
from quant.clipping.percentile import Percentile
from quant.grids.base import GridBase
from quant.rounding.base import RoundingBase
from quant.rounding.layer import LayerProblem
from quant.weights import FittedWeight

RULES: Sequence[ClipRuleBase] = (MinMax(), Mae(), Mse(), Percentile(q=99.9))
RATIOS = np.arange(0.95, 0.45, -0.05)
"""Shrink factors of the largest |w| that are tried beside the rules."""


def least_output_error(
    problem: LayerProblem, fitted: FittedWeight, grid: GridBase, rounding: RoundingBase, bits: int
) -> NDArray[np.float64]:
    """The bound (R,) of least dW H dW^T among the rules' and a search, dW being the error after the rounding itself."""
    statistics, fit = fitted.statistics, fitted.fit
    candidates = [rule.bound(statistics, fit, bits) for rule in RULES]
    candidates += [ratio * statistics.max_abs for ratio in RATIOS]
    books = [grid.build(statistics, fit, clip, bits) for clip in candidates]
    errors = [problem.error(problem.round(rounding, book)) for book in books]
    best: NDArray[np.float64] = np.choose(np.argmin(errors, axis=0), candidates)
    return best
