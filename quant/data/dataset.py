"""A calibration or evaluation set: an array for each input of the model, in batches, and labels if there are any."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.data.sources import AlongAxis, Source
from quant.errors import InputMismatch

BATCH = 8
"""The samples of a batch for a model that takes any number; the activations of one batch are in memory at a time."""


@dataclass(frozen=True)
class Dataset:
    """Samples for all inputs of one model, in batches.

    Attributes:
        inputs: the values of each input, by the input's name; the first axis of a plain array counts samples.
        labels: the class numbers (N,), or None.
        samples: the number of samples N.
        batch: the number of samples in a batch: the batch size that the model requires, or `BATCH`.
        part: the numbers of the batches that this set consists of; None for all batches.
        fixed: True if the model requires this batch size; an incomplete last batch is then left out.
    """

    inputs: Mapping[str, NDArray[np.generic] | Source]
    labels: NDArray[np.int64] | None
    samples: int
    batch: int
    part: tuple[int, ...] | None = None
    fixed: bool = False

    @property
    def sources(self) -> dict[str, Source]:
        """The source of each input's values, by the input's name."""
        return {
            name: AlongAxis(source) if isinstance(source, np.ndarray) else source
            for name, source in self.inputs.items()
        }

    @property
    def samples_first(self) -> bool:
        """True if the first axis of every input counts the samples of a batch."""
        return all(source.axis == 0 for source in self.sources.values())

    @property
    def used(self) -> int:
        """The number of samples in all batches; a model with a fixed batch size cannot use an incomplete last batch."""
        return sum(window.stop - window.start for window in self._windows())

    def split(self, every: int) -> tuple["Dataset", "Dataset"]:
        """Return the set without every n-th batch, and the set of these batches.

        If there are fewer than n batches, both are the whole set.
        """
        numbers = range(len(self._windows()))
        held_out = tuple(number for number in numbers if number % every == every - 1)
        if not held_out:
            return self, self
        return replace(self, part=tuple(n for n in numbers if n not in held_out)), replace(self, part=held_out)

    def spread(self, samples: int) -> "Dataset":
        """Return a subset of about `samples` samples: batches at even distances, at least one."""
        numbers = self.numbers
        count = min(max(samples // self.batch, 1), len(numbers))
        return replace(self, part=tuple(numbers[i * len(numbers) // count] for i in range(count)))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the batches in this set."""
        return tuple(range(len(self._windows()))) if self.part is None else self.part

    def singly(self) -> "Dataset":
        """Return all samples in batches of one, or the set itself if the model fixes the batch size."""
        return self if self.fixed else replace(self, batch=1, part=None)

    def in_batches_of(self, size: int) -> "Dataset":
        """Return all samples in batches of exactly `size`, as a model requires that runs with this size only.

        Raises:
            InputMismatch: there are fewer samples than one batch.
        """
        if self.samples < size:
            raise InputMismatch(
                f"the model takes batches of exactly {size} samples; the dataset has {self.samples}; "
                f"accepted: at least {size} samples, best a multiple of {size}"
            )
        return replace(self, batch=size, part=None, fixed=True)

    def halved(self) -> "Dataset":
        """Return the same samples in batches of half the size, or the set itself if the model fixes the batch size.

        An incomplete half batch is left out. A set without a complete half batch is returned as it is.
        """
        if self.fixed or self.batch % 2:
            return self
        half = self.batch // 2
        parts = (part for number in self.numbers for part in (2 * number, 2 * number + 1))
        complete = tuple(part for part in parts if (part + 1) * half <= self.samples)
        return replace(self, batch=half, part=complete) if complete else self

    def batches(self) -> Iterator[dict[str, NDArray[np.generic]]]:
        """Yield the feeds of every batch: an array for each input."""
        sources = self.sources
        for window in self._windows():
            yield {name: source.batch(window) for name, source in sources.items()}
            for source in sources.values():
                source.release()

    def watched(self, progress: Callable[[int, int], None]) -> Iterator[dict[str, NDArray[np.generic]]]:
        """Yield the feeds of every batch; after each, call `progress(completed samples, total samples)`."""
        completed, total = 0, self.used
        for feeds in self.batches():
            yield feeds
            completed = min(completed + self.batch, total)
            progress(completed, total)

    def label_batches(self) -> Iterator[NDArray[np.int64] | None]:
        """Yield the labels of every batch, or None for each batch of a set without labels."""
        for window in self._windows():
            yield None if self.labels is None else self.labels[window]

    def _windows(self) -> list[slice]:
        """Return the slice of the samples in every batch."""
        end = self.samples - (self.samples % self.batch if self.fixed else 0)
        windows = [slice(start, min(start + self.batch, end)) for start in range(0, end, self.batch)]
        return windows if self.part is None else [windows[number] for number in self.part]
