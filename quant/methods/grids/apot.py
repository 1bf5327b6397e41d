"""The grid of additive powers of two."""

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
"""For each width, the two sets whose sums are the magnitudes (Li, Dong and Wang, 2020, eq. 5)."""


class Apot(GridBase):
    """Additive powers of two: 2^bits - 1 levels, denser near zero, that need only shifts to multiply.

    The magnitudes are a + b for a and b in the two sets of TERMS, scaled so that the largest is the clip bound (Li,
    Dong and Wang, 2020, eq. 5). See docs/methods.md, 'Grids and expected error'.
    """

    name: Literal["apot"] = "apot"
    widths: ClassVar[range] = range(2, 6)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Return levels (R, 2^bits - 1), the outermost at -clip and clip (R,)."""
        coarse, fine = TERMS[bits]
        magnitudes = np.unique([float(a + b) for a in coarse for b in fine])
        magnitudes /= magnitudes[-1]
        return Codebook.from_levels(clip[:, None] * np.concatenate([-magnitudes[:0:-1], magnitudes]))
