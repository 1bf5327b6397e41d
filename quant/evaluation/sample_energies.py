"""The energies of signal and noise of single samples of one output, from which uncertainties follow."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_PARTS = 1024
"""The most parts of a batch that are told apart: a longer first axis counts positions, and the batch is one part."""


@dataclass
class SampleEnergies:
    """The energies of the parts of an output along its first axis, which counts samples in most models.

    Attributes:
        signal: the energy of the float model's values in each part.
        noise: the energy of the difference of both models in each part.
    """

    signal: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)

    def add(self, expected: NDArray[np.generic], actual: NDArray[np.generic]) -> None:
        """Add one batch (N, ...) of both models; values that are not finite in both count as no signal and no noise."""
        parts = expected.shape[0] if expected.ndim and 0 < expected.shape[0] <= MAX_PARTS else 1
        x, y = (side.astype(np.float64).reshape(parts, -1) for side in (expected, actual))
        usable = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(usable, x, 0.0), np.where(usable, y, 0.0)
        self.signal += np.square(x).sum(axis=1).tolist()
        self.noise += np.square(x - y).sum(axis=1).tolist()
