"""The channels of an output in two groups of unlike ranges, such as the boxes and the scores of a detector."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MIN_AXES = 3
"""The fewest axes of an output whose channels are grouped: samples, positions and channels."""
MAX_CHANNELS = 512
"""The most channels of a group axis: a longer axis holds positions."""
MIN_GAP = 16.0
"""The least ratio between the largest values of neighbouring channels that separates two groups."""


@dataclass
class ChannelGroups:
    """Running sums over the channels of one output, which lie along the shorter of its second and its last axis.

    Attributes:
        largest: the largest magnitude of each channel (C,) in the float model; empty before the first batch.
        signal: the energy of each channel (C,).
        noise: the energy of the difference of both models in each channel (C,).
        usable: False as soon as a batch cannot be summed by channel.
    """

    largest: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    signal: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    noise: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    usable: bool = True

    def add(self, expected: NDArray[np.generic], actual: NDArray[np.generic]) -> None:
        """Add one batch (N, ..., C) or (N, C, ...) of both models."""
        self.usable &= expected.ndim >= MIN_AXES
        if not self.usable:
            return
        axis = 1 if expected.shape[1] < expected.shape[-1] else expected.ndim - 1
        others = tuple(number for number in range(expected.ndim) if number != axis)
        channels = expected.shape[axis]
        self.usable = 1 < channels <= MAX_CHANNELS and len(self.largest) in (0, channels) and expected.size > 0
        x, y = expected.astype(np.float64), actual.astype(np.float64)
        self.usable &= bool(np.isfinite(x).all() and np.isfinite(y).all())
        if not self.usable:
            return
        if not len(self.largest):
            self.largest, self.signal, self.noise = np.zeros(channels), np.zeros(channels), np.zeros(channels)
        self.largest = np.maximum(self.largest, np.abs(x).max(axis=others))
        self.signal += np.square(x).sum(axis=others)
        self.noise += np.square(x - y).sum(axis=others)

    def energies(self) -> list[tuple[float, float]]:
        """Return the energies of signal and noise of the group with the smaller and that with the larger range.

        The groups are separated at the widest gap between the channels' largest values. Channels that are always zero
        belong to none. Empty where no gap is wide enough.
        """
        order = np.argsort(self.largest, kind="stable")
        order = order[self.largest[order] > 0]
        gaps = self.largest[order[1:]] / self.largest[order[:-1]]
        if not self.usable or not (gaps >= MIN_GAP).any():
            return []
        first = int(np.argmax(gaps)) + 1
        return [(float(self.signal[of].sum()), float(self.noise[of].sum())) for of in (order[:first], order[first:])]
