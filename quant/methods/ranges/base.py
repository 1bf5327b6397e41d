"""What every rule for the range of an activation has in common."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics

Evidence = Literal["extremes", "histogram", "fit"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Observed:
    """What calibration saw of one tensor; `batches` (B, 2) are the least and the greatest value of each batch.

    `edges` (K + 1,) and `counts` (K,) are its histogram, with exact zeros left out: zero is always on the grid. Both
    are empty for a rule that asks for none.
    `statistics` and `fit` are of one row: a sample of the non-zero values, mirrored where `one_sided`.
    """

    batches: NDArray[np.float64]
    edges: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    statistics: RowStatistics | None = None
    fit: Fit | None = None

    @property
    def extremes(self) -> Range:
        """The least and the greatest value, widened to hold zero."""
        return min(0.0, float(self.batches[:, 0].min())), max(0.0, float(self.batches[:, 1].max()))

    @property
    def one_sided(self) -> bool:
        """Whether no value is below zero, as behind a Relu."""
        return self.extremes[0] == 0

    def histogram(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centres of the bins and their counts, both (K,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2, self.counts.astype(np.float64)


class RangeRuleBase(BaseModel):
    """A way to derive the range of an activation; `evidence` is what it needs beside the extremes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    evidence: ClassVar[Evidence] = "extremes"
    name: str

    @property
    def candidates(self) -> "Sequence[RangeRuleBase]":
        """The rules that the whole model's output is to decide between: this one alone, as a rule."""
        return (self,)

    @property
    def needs_every_batch(self) -> bool:
        """Whether a batch counts even if no value of it lies beyond those of the batches before."""
        return True

    @abstractmethod
    def range(self, observed: Observed, levels: int) -> Range:
        """The least and the greatest value to represent with `levels` levels; zero lies between them.

        The range is never wider than the extremes.
        """
