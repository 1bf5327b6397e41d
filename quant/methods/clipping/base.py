"""The interface of clip rules."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.plug_in import PlugIn


class ClipRuleBase(PlugIn):
    """A rule that derives the bound beyond which the weights of a row are clipped.

    `quant.weights.clip_choice` reads the class variables to choose a layer's bounds. See docs/methods.md,
    'Clip bounds'.
    """

    by_row: ClassVar[bool] = True
    """True if the bound of a row depends on that row alone."""
    clips: ClassVar[bool] = True
    """False if the bound is always the largest |w|, so that nothing is clipped."""
    uses_moments: ClassVar[bool] = False
    """True if the bounds of least output error replace the rule's own where moments of the layer's input are known."""

    @property
    def rival(self) -> "ClipRuleBase | None":
        """The rule that is also tried for all layers, and kept where the model's output is better; None for no rule."""
        return None

    @abstractmethod
    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> NDArray[np.float64]:
        """Return the outermost level (R,) in the weight's unit, at most the largest |w|; 0 for a row of zeros.

        Args:
            statistics: Statistics of R rows, each with one scale.
            fit: The distributions chosen for these rows.
            bits: Width of a weight; the uniform grid has 2^bits - 1 levels.
            mid_rise: True for the mid-rise grid, which has 2^bits levels.
        """
