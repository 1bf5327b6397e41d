"""Moments of layer inputs in the float model on synthetic inputs, for jobs without data.

See docs/methods.md, 'Synthetic inputs'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import InferredMoments, SecondMoments, without_known_mean


@dataclass(frozen=True)
class SyntheticMoments(InferredMoments):
    """Moments on several kinds of synthetic inputs; `square` and `mean` are averages in which each kind counts as much.

    Attributes:
        kinds: the moments of each kind.
        independent_share: the share in which inputs count as independent.
    """

    kinds: tuple[SecondMoments, ...] = ()
    independent_share: float = 0.0

    @classmethod
    def pooled(cls, kinds: Sequence[SecondMoments], independent_share: float) -> "SyntheticMoments":
        """Return the average of the kinds' moments, each weighted by the inverse of its inputs' energy."""
        energies = np.array([max(float(kind.diagonal.mean()), 1e-300) for kind in kinds])
        weights = (1 / energies) / (1 / energies).sum()
        square = sum(weight * kind.square for weight, kind in zip(weights, kinds, strict=True))
        mean = sum(weight * kind.mean for weight, kind in zip(weights, kinds, strict=True))
        assert isinstance(square, np.ndarray), "there is at least one kind"
        assert isinstance(mean, np.ndarray), "there is at least one kind"
        diagonal = np.diagonal(square, axis1=1, axis2=2).copy()
        square *= 1 - independent_share
        np.einsum("gkk->gk", square)[:] = diagonal
        return cls(square, mean, kinds=tuple(kinds), independent_share=independent_share)

    @property
    def is_independent(self) -> bool:
        """True if all inputs are taken to be independent, so that error feedback rounds to nearest."""
        return self.independent_share == 1

    def after_bias_correction(self) -> "SyntheticMoments":
        """Return the moments that give the errors left after a bias correction by the means of the kinds."""
        remaining = [SecondMoments(without_known_mean(kind), kind.mean) for kind in self.kinds]
        return self.pooled(remaining, self.independent_share)

    def energies_by_kind(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return E[(a x)^2] of each kind and output (kinds, G, O) for weights a (G, O, K)."""
        share = self.independent_share
        return np.stack([
            (1 - share) * kind.energy(weights) + share * np.einsum("gok,gok,gk->go", weights, weights, kind.diagonal)
            for kind in self.kinds
        ])  # fmt: skip
