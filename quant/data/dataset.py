"""A calibration or evaluation set: an array for each input of the model, in batches, and labels if there are any."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.data.npz import release_pages

BATCH = 8
"""The samples of a batch for a model that takes any number; the activations of one batch are in memory at a time."""


@dataclass(frozen=True)
class Images:
    """uint8 images (N, H, W[, C]) that become float32 input (N, C, H, W) batch by batch.

    The input is (pixels / 255 - mean) / std, with one mean and one std for all channels or for each channel.
    """

    pixels: NDArray[np.uint8]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def batch(self, window: slice) -> NDArray[np.float32]:
        """Return the images of `window` as normalised float32, channels first."""
        pixels = self.pixels[window]
        pixels = pixels[..., None] if pixels.ndim == 3 else pixels
        normalised = (pixels.astype(np.float32) / 255 - self.mean.astype(np.float32)) / self.std.astype(np.float32)
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Dataset:
    """Samples for all inputs of one model, in batches.

    Attributes:
        inputs: the array or the images for each input, by the input's name; the first axis counts samples.
        labels: the class numbers (N,), or None.
        samples: the number of samples N.
        batch: the number of samples in a batch: the batch size that the model requires, or `BATCH`.
        part: the numbers of the batches that this set consists of; None for all batches.
        whole_feeds: a sample is a complete feed of the model, with the batch axis in it.
    """

    inputs: Mapping[str, NDArray[np.generic] | Images]
    labels: NDArray[np.int64] | None
    samples: int
    batch: int
    part: tuple[int, ...] | None = None
    whole_feeds: bool = False

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
        return replace(self, batch=1, part=None) if self.batch == BATCH else self

    def halved(self) -> "Dataset":
        """Return the same samples in batches of half the size, or the set itself if the model fixes the batch size.

        An incomplete half batch is left out. A set without a complete half batch is returned as it is.
        """
        half = BATCH // 2
        parts = (part for number in self.numbers for part in (2 * number, 2 * number + 1))
        complete = tuple(part for part in parts if (part + 1) * half <= self.samples)
        return replace(self, batch=half, part=complete) if self.batch == BATCH and complete else self

    def batches(self) -> Iterator[dict[str, NDArray[np.generic]]]:
        """Yield the feeds of every batch: an array for each input."""
        for window in self._windows():
            yield {
                name: source.batch(window) if isinstance(source, Images) else self._cut(source, window)
                for name, source in self.inputs.items()
            }
            for source in self.inputs.values():
                release_pages(source.pixels if isinstance(source, Images) else source)

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
        end = self.samples - (self.samples % self.batch if self.batch != BATCH else 0)
        windows = [slice(start, min(start + self.batch, end)) for start in range(0, end, self.batch)]
        return windows if self.part is None else [windows[number] for number in self.part]

    def _cut(self, array: NDArray[np.generic], window: slice) -> NDArray[np.generic]:
        part = array[window.start] if self.whole_feeds else array[window]
        return np.require(part, requirements=("C", "ALIGNED"))  # a mapped array may start at any byte of its file
