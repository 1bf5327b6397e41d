"""Sequences of samples for streaming models: a state input receives what its state output held one step before.

Every step of every sequence is one sample, with a complete value of each input. `quant.data.read_sequences` reads such
a set, and `quant.evaluation.states` runs models over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sequences:
    """The length of the sequences of a set, and the names of the states.

    Attributes:
        states: the output that holds the next value of each state input, by the input's name.
        steps: the number of steps of every sequence.
    """

    states: Mapping[str, str]
    steps: int

    def held_out(self, samples: int, every: int) -> list[int]:
        """Return the samples of every n-th sequence; with fewer sequences, the last n-th part of each sequence."""
        if samples >= every * self.steps:
            return [step for step in range(samples) if step // self.steps % every == every - 1]
        first = self.steps - self.steps // every
        return [step for step in range(samples) if step % self.steps >= first]


@dataclass(frozen=True)
class InitialStates:
    """The values of a state before the first step of each sequence, (sequences, *shape)."""

    array: NDArray[np.generic]
    steps: int
    axis: None = None

    @property
    def samples(self) -> int:
        """The number of steps of all sequences."""
        return len(self.array) * self.steps

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the initial state of the sequence that the step of `window` belongs to."""
        return np.array(self.array[window.start // self.steps])

    def release(self) -> None:
        """Keep the values: there is one for each sequence only."""
