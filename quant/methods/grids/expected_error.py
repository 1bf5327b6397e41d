"""The exact mean error of a quantizer under a distribution, cell by cell."""

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.fitted import Rows
from quant.methods.grids.codebook import AnyCodebook


def expected_error(fit: Fit, codebook: AnyCodebook) -> tuple[Rows, Rows]:
    """E|X - Q(X)| and E(X - Q(X))^2 of each row (R,), from the partial moments of every cell; infinite where the
    distribution's own moment is.

    Cells and split at the level: Max (1960), eq. 1, with the error's absolute value or square.
    """
    levels, edges = codebook.levels, codebook.edges
    if (arguments := fit.loop_arguments()) is not None:
        mae, mse = np.empty((2, len(levels)))
        dispatch.run("expected:expected_errors", len(levels), *arguments, levels, edges, mae, mse)
        return mae, mse
    outer = np.full((len(levels), 1), np.inf)
    lower, upper = np.hstack([-outer, edges]), np.hstack([edges, outer])
    below, at, above = (fit.partial_moments(x) for x in (lower, levels, upper))
    with np.errstate(invalid="ignore"):  # infinite moments less infinite moments
        mass, first, second = below - above
        left, right = below - at, at - above
        mae = (levels * left[0] - left[1] + right[1] - levels * right[0]).sum(axis=1)
        mse = (second - 2 * levels * first + levels**2 * mass).sum(axis=1)
    return np.where(np.isnan(mae), np.inf, mae), np.where(np.isnan(mse), np.inf, np.maximum(mse, 0))
