"""Rounding to the nearest level."""

from typing import Literal

from quant.methods.grids.codebook import AnyCodebook
from quant.methods.rounding.base import Matrix, Problem, RoundingBase


class Nearest(RoundingBase):
    """Each weight goes to its nearest level; needs no data."""

    name: Literal["nearest"] = "nearest"

    def round(self, problem: Problem, codebook: AnyCodebook) -> Matrix:
        """Return the nearest levels (G, O, K)."""
        return problem.nearest(codebook)
