"""A calibration or evaluation set: an array for each input of the model, in batches, and labels if there are any."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quant.data.sequences import Sequences
from quant.data.sources import AlongAxis, Source
from quant.data.targets import Targets
from quant.errors import InputMismatch

BATCH = 8
"""The samples of a batch for a model that takes any number; the activations of one batch are in memory at a time."""


@dataclass(frozen=True)
class Truth:
    """The labels and targets of the samples of one batch.

    Attributes:
        samples: the number of samples.
        labels: the class numbers (samples,), or None.
        targets: the target of each sample, by the name of the output; empty without targets.
    """

    samples: int
    labels: NDArray[np.int64] | None = None
    targets: Targets = field(default_factory=dict)


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
        targets: the target of each sample, by the name of the output; empty without targets.
        runs: the ends of runs of samples of one shape, which batches do not mix; empty if all samples have one shape.
        sequences: the sequences that the samples are the steps of; None for independent samples.
    """

    inputs: Mapping[str, NDArray[np.generic] | Source]
    labels: NDArray[np.int64] | None
    samples: int
    batch: int
    part: tuple[int, ...] | None = None
    fixed: bool = False
    targets: Targets = field(default_factory=dict)
    runs: tuple[int, ...] = ()
    sequences: Sequences | None = None

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
        return sum(self.sizes)

    @property
    def sizes(self) -> Sequence[int]:
        """The number of samples in every batch."""
        return [window.stop - window.start for window in self._windows()]

    @property
    def longest_run(self) -> int:
        """The largest number of samples of one shape; samples of this shape come first."""
        return self.runs[0] if self.runs else self.samples

    def split(self, every: int) -> tuple["Dataset", "Dataset"]:
        """Return the set without every n-th batch, and the set of these batches.

        If there are fewer than n batches, both are the whole set. A set of sequences is split by sequences.
        """
        numbers = range(len(self._windows()))
        if self.sequences is not None:
            held_out = tuple(self.sequences.held_out(len(numbers), every))
        else:
            held_out = tuple(number for number in numbers if number % every == every - 1)
        if not held_out:
            return self, self
        return replace(self, part=tuple(n for n in numbers if n not in held_out)), replace(self, part=held_out)

    def spread(self, samples: int) -> "Dataset":
        """Return a subset of about `samples` samples: batches at even distances, at least one."""
        numbers = self.numbers
        mean = self.used / len(numbers) if self.runs else self.batch
        count = min(max(int(samples / mean), 1), len(numbers))
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
        if self.longest_run < size:
            shape = " of one shape" if self.runs else ""
            raise InputMismatch(
                f"the model takes batches of exactly {size} samples; the dataset has {self.longest_run}{shape}; "
                f"accepted: at least {size} samples, best a multiple of {size}"
            )
        return replace(self, batch=size, part=None, fixed=True)

    def in_batches(self, least: int) -> "Dataset":
        """Return the samples in batches so small that there are at least `least`, as far as the batch size is free."""
        smaller = self
        while not smaller.fixed and smaller.batch > 1 and len(smaller.numbers) < least:
            smaller = replace(smaller, batch=smaller.batch // 2)
        return smaller

    def halved(self) -> "Dataset":
        """Return the same samples in batches of half the size, or the set itself if the model fixes the batch size.

        An incomplete half batch is left out. A set without a complete half batch is returned as it is.
        """
        if self.fixed or self.batch % 2:
            return self
        windows, halves = self._windows(), replace(self, batch=self.batch // 2, part=None)
        starts, sizes = {window.start: number for number, window in enumerate(halves._windows())}, halves.sizes
        parts = (place for window in windows for place in range(window.start, window.stop, halves.batch))
        complete = [starts[place] for place in parts if sizes[starts[place]] == halves.batch]
        return replace(halves, part=tuple(complete)) if complete else self

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
        for feeds, size in zip(self.batches(), self.sizes, strict=True):
            yield feeds
            completed += size
            progress(completed, total)

    def label_batches(self) -> Iterator[NDArray[np.int64] | None]:
        """Yield the labels of every batch, or None for each batch of a set without labels."""
        for window in self._windows():
            yield None if self.labels is None else self.labels[window]

    def truth_batches(self) -> Iterator[Truth]:
        """Yield the labels and targets of every batch."""
        for window, labels in zip(self._windows(), self.label_batches(), strict=True):
            targets = {name: values[window] for name, values in self.targets.items()}
            yield Truth(window.stop - window.start, labels, targets)

    def first(self, samples: int) -> dict[str, NDArray[np.generic]]:
        """Return the feeds with the first samples, at most `longest_run` of them."""
        return next(replace(self, batch=samples, part=None).batches())

    def _windows(self) -> list[slice]:
        """Return the slice of the samples in every batch."""
        windows: list[slice] = []
        for first, last in pairwise((0, *(self.runs or (self.samples,)))):
            end = last - ((last - first) % self.batch if self.fixed else 0)
            windows += [slice(start, min(start + self.batch, end)) for start in range(first, end, self.batch)]
        return windows if self.part is None else [windows[number] for number in self.part]
