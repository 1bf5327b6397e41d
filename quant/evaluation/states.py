"""Runs of streaming models: every step continues from the states that the model itself returned one step before."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.data.sources import Feeds
from quant.errors import InputMismatch
from quant.runtime import Session

Tensors = Mapping[str, NDArray[np.generic]]


class StateRunner:
    """Runs of one model, in order, over the batches of a part of a set.

    The first step of a sequence has the states of the set, and so has a step whose predecessor is not in the part.
    Every other step continues from the states that the model returned. A set without sequences is run as it is.
    """

    def __init__(self, session: Session, part: Dataset) -> None:
        self._session, self._sequences, self._numbers = session, part.sequences, iter(part.numbers)
        self._last: int | None = None
        self._states: dict[str, NDArray[np.generic]] = {}

    def run(self, feeds: Tensors) -> tuple[Tensors, list[NDArray[np.generic]]]:
        """Return the inputs that the model ran with in the next batch of the part, and its outputs.

        Raises:
            QuantdError: the model does not run.
            InputMismatch: a state that the model returned has another shape than the one that it ran with.
        """
        if self._sequences is None:
            return feeds, self._session.run(feeds)
        number = next(self._numbers)
        if number % self._sequences.steps and number - 1 == self._last:
            feeds = {**feeds, **self._states}
        outputs = self._session.run(feeds)
        by_name = dict(zip(self._session.outputs, outputs, strict=True))
        self._last = number
        self._states = {name: by_name[output] for name, output in self._sequences.states.items()}
        for name, state in self._states.items():
            if state.shape != feeds[name].shape:
                raise InputMismatch(
                    f"the state {name!r} had shape {list(feeds[name].shape)} and the model returned "
                    f"{self._sequences.states[name]!r} of shape {list(state.shape)}; accepted: states of one shape"
                )
        return feeds, outputs


def roll_out(session: Session, data: Dataset | None) -> Dataset | None:
    """Return a set of sequences with the states that a float model reaches before every step.

    The model runs once over all steps. A set without sequences is returned as it is.

    Raises:
        QuantdError: the model does not run, or returns a state of another shape than the one that it ran with.
    """
    if data is None or data.sequences is None:
        return data
    runner = StateRunner(session, data)
    reached: dict[str, NDArray[np.generic]] = {}
    for number, feeds in zip(data.numbers, data.batches(), strict=True):
        used, _ = runner.run(feeds)
        for name in data.sequences.states:
            state = used[name]
            if name not in reached:
                reached[name] = np.empty((data.samples, *state.shape), state.dtype)
            reached[name][number] = state
    sources = {name: Feeds(states) for name, states in reached.items()}
    return replace(data, inputs={**data.inputs, **sources})
