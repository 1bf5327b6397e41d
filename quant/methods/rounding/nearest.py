"""Every weight goes to its nearest level."""

from typing import Literal

from quant.methods.grids.codebook import AnyCodebook
from quant.methods.rounding.base import Matrix, Problem, RoundingBase


class Nearest(RoundingBase):
    """Every weight to its nearest level; needs no data."""

    name: Literal["nearest"] = "nearest"

    def round(self, problem: Problem, codebook: AnyCodebook) -> Matrix:
        """The nearest levels (G, O, K); the moments do not matter."""
        return problem.nearest(codebook)
