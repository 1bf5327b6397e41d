"""The exact expected error of a quantizer under a distribution, summed over its cells."""

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.fitted import Rows
from quant.methods.grids.codebook import AnyCodebook


def expected_error(fit: Fit, codebook: AnyCodebook) -> tuple[Rows, Rows]:
    """Return E|X - Q(X)| and E[(X - Q(X))^2] of each row (R,); infinite where the distribution's moment is.

    With levels y_i and edges x_i, x_0 = -inf and x_K = inf, both are sums over the cells (Max, 1960, eq. 1, with |.|
    or a square as the measure of distortion):

        E d(X - Q(X)) = sum_i E[d(X - y_i); x_(i-1) < X <= x_i].

    The partial moments P(X > x), E[X; X > x] and E[X^2; X > x] give each term in closed form; the cell is split at its
    level for the absolute error. See docs/methods.md, 'Grids and expected error'.
    """
    levels, edges = codebook.levels, codebook.edges
    if (arguments := fit.loop_arguments()) is not None:
        mae, mse = np.empty((2, len(levels)))
        dispatch.run("expected:expected_errors", len(levels), *arguments, levels, edges, mae, mse)
        return mae, mse
    outer = np.full((len(levels), 1), np.inf)
    lower, upper = np.hstack([-outer, edges]), np.hstack([edges, outer])
    below, at, above = (fit.partial_moments(x) for x in (lower, levels, upper))
    with np.errstate(invalid="ignore"):  # infinity minus infinity, where a moment is infinite
        mass, first, second = below - above
        left, right = below - at, at - above
        mae = (levels * left[0] - left[1] + right[1] - levels * right[0]).sum(axis=1)
        mse = (second - 2 * levels * first + levels**2 * mass).sum(axis=1)
    return np.where(np.isnan(mae), np.inf, mae), np.where(np.isnan(mse), np.inf, np.maximum(mse, 0))
