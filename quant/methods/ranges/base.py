"""The interface of range rules, and the evidence that they derive a range from."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.plug_in import PlugIn

Evidence = Literal["extremes", "histogram", "fit"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Observed:
    """The values of one activation tensor over the calibration set.

    Attributes:
        batches: Smallest and largest value of each of B batches (B, 2).
        edges: Edges (K + 1,) of the histogram; (1,) for a rule that needs none.
        counts: Non-zero values in each bin (K,); exact zeros do not count, because zero is always a level.
        statistics: Statistics of one row, a sample of the non-zero values, mirrored at zero if `one_sided`.
        fit: The distribution chosen for that row.
    """

    batches: NDArray[np.float64]
    edges: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    statistics: RowStatistics | None = None
    fit: Fit | None = None

    @property
    def extremes(self) -> Range:
        """The smallest and the largest value, widened to include zero."""
        return min(0.0, float(self.batches[:, 0].min())), max(0.0, float(self.batches[:, 1].max()))

    @property
    def one_sided(self) -> bool:
        """True if no value is below zero, as after a Relu."""
        return self.extremes[0] == 0

    def histogram(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centres of the bins and their counts, both (K,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2, self.counts.astype(np.float64)


class RangeRuleBase(PlugIn):
    """A rule that derives the range of an activation. See docs/methods.md, 'Activation ranges'."""

    evidence: ClassVar[Evidence] = "extremes"
    """The evidence that the rule needs besides the extremes."""
    name: str

    @property
    def candidates(self) -> "Sequence[RangeRuleBase]":
        """The rules of which the one with the best outputs of the whole model is kept."""
        return (self,)

    @property
    def needs_every_batch(self) -> bool:
        """True if a batch matters even when none of its values lies outside the extremes of earlier batches."""
        return True

    @abstractmethod
    def range(self, observed: Observed, levels: int) -> Range:
        """Return the smallest and the largest value to represent with `levels` levels.

        The range includes zero and lies within the extremes.
        """
