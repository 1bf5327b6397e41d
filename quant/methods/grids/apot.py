"""Levels that are sums of two powers of two."""

from typing import ClassVar, Literal

import numpy as np

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook, Rows

TERMS: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    2: ((0, 1), (0,)),
    3: ((0, 2**-1, 2**-2, 2**-3), (0,)),
    4: ((0, 2**-1, 2**-2, 2**-4), (0, 2**-3)),
    5: ((0, 2**-1, 2**-3, 2**-5), (0, 2**-2, 2**-4, 2**-6)),
}
"""For each width the two sets whose sums are the magnitudes (Li, Dong and Wang, 2020, eq. 5)."""


class Apot(GridBase):
    """Additive powers of two: 2^bits - 1 levels, denser near zero, that a multiplier needs only shifts for."""

    name: Literal["apot"] = "apot"
    widths: ClassVar[range] = range(2, 6)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Levels (R, 2^bits - 1), the outermost at +-clip (R,)."""
        coarse, fine = TERMS[bits]
        magnitudes = np.unique([float(a + b) for a in coarse for b in fine])
        magnitudes /= magnitudes[-1]
        return Codebook.nearest(clip[:, None] * np.concatenate([-magnitudes[:0:-1], magnitudes]))
