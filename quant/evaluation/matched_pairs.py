"""The difference of two models' accuracies on the same samples, with its confidence interval."""

import math
from dataclasses import dataclass

NORMAL_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution: 95 % of it lies within this many standard deviations."""


@dataclass(frozen=True)
class MatchedPairs:
    """Two models' answers on the same labelled samples.

    Attributes:
        samples: the number of samples.
        lost: samples that only the first model classifies correctly.
        gained: samples that only the second model classifies correctly.
    """

    samples: int
    lost: int
    gained: int

    @property
    def difference(self) -> float:
        """The accuracy of the second model minus that of the first, as a fraction."""
        return (self.gained - self.lost) / self.samples

    @property
    def standard_error(self) -> float:
        """The estimated standard error of the difference, as a fraction."""
        return math.sqrt(((self.lost + self.gained) / self.samples - self.difference**2) / self.samples)

    def interval(self) -> tuple[float, float]:
        """Return the limits of the 95 % confidence interval of the difference, as fractions.

        This is Wald's interval for matched pairs with half an observation added to each of the four cells (Agresti
        and Min 2005), so that samples without any difference do not give an interval of length zero. See
        docs/methods.md, "Metrics".
        """
        lost, gained, samples = self.lost + 0.5, self.gained + 0.5, self.samples + 2
        centre = (gained - lost) / samples
        error = math.sqrt((lost + gained) / samples - centre**2) / math.sqrt(samples)
        return max(centre - NORMAL_95 * error, -1.0), min(centre + NORMAL_95 * error, 1.0)
