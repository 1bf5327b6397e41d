"""The sources of an input's values: samples along an axis or of several shapes, whole feeds, a constant, or images."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quant.data.npz import release_pages

FLOAT32 = np.dtype(np.float32)


class Source(Protocol):
    """The values of one input for all samples of a set."""

    @property
    def samples(self) -> int | None:
        """The number of samples; None if the value is the same for all of them."""

    @property
    def axis(self) -> int | None:
        """The axis of a batch that counts its samples; None if a batch has no such axis."""

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the input's value for the samples of `window`."""

    def release(self) -> None:
        """Release the memory of a mapped array."""


@dataclass(frozen=True)
class AlongAxis:
    """An array as the model takes it, with all samples along its batch axis."""

    array: NDArray[np.generic]
    axis: int = 0

    @property
    def samples(self) -> int:
        """The size of the batch axis."""
        return int(self.array.shape[self.axis])

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the part of the array along its batch axis."""
        return _aligned(self.array[(*[slice(None)] * self.axis, window)])

    def release(self) -> None:
        """Release the memory of a mapped array."""
        release_pages(self.array)


@dataclass(frozen=True)
class Feeds:
    """An array with one axis more than the input: its first axis counts samples, each a complete value of the input."""

    array: NDArray[np.generic]
    axis: None = None

    @property
    def samples(self) -> int:
        """The number of values."""
        return len(self.array)

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the value of the only sample in `window`."""
        return _aligned(np.asarray(self.array[window.start]))

    def release(self) -> None:
        """Release the memory of a mapped array."""
        release_pages(self.array)


@dataclass(frozen=True)
class Ragged:
    """An array for each sample; samples differ in shape.

    Attributes:
        arrays: the samples, without the axis of samples.
        axis: the axis of a batch that counts its samples; None if each array is a complete value of the input.
    """

    arrays: tuple[NDArray[np.generic], ...]
    axis: int | None

    @property
    def samples(self) -> int:
        """The number of arrays."""
        return len(self.arrays)

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the samples of `window`, which have one shape, along the batch axis."""
        samples = self.arrays[window]
        return _aligned(samples[0] if self.axis is None else np.stack(samples, self.axis))

    def release(self) -> None:
        """Release the memory of mapped arrays; all arrays of a file share one mapping."""
        release_pages(self.arrays[0])


@dataclass(frozen=True)
class Constant:
    """One value of an input without a batch axis, which every batch gets."""

    array: NDArray[np.generic]
    samples: None = None
    axis: None = None

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the value, whatever the window."""
        return _aligned(self.array)

    def release(self) -> None:
        """Keep the value: it is read for every batch."""


class Pixels(Protocol):
    """An array (N, H, W) or (N, H, W, C) of uint8, or what decodes slices of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""

    def __getitem__(self, window: Any, /) -> NDArray[np.uint8]:
        """Return the images of a slice."""


@dataclass(frozen=True)
class Images:
    """uint8 images (N, H, W[, C]) that become the model's input batch by batch.

    The input is (pixels / divisor - mean) / std, with one mean and one std for all channels or for each channel. An
    input of integers gets the pixels as they are.

    Attributes:
        pixels: the images.
        mean: the numbers to subtract, (1,) or (C,).
        std: the numbers to divide by, (1,) or (C,).
        divisor: the number that divides the pixels first.
        channels_first: True for an input (N, C, H, W), False for (N, H, W, C).
        dtype: the type of the input.
    """

    pixels: Pixels
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    divisor: float = 255
    channels_first: bool = True
    dtype: np.dtype[Any] = FLOAT32
    axis: int = 0

    @property
    def samples(self) -> int:
        """The number of images."""
        return self.pixels.shape[0]

    def batch(self, window: slice) -> NDArray[np.generic]:
        """Return the images of `window` as the model takes them; the arithmetic is that of float32."""
        pixels = self.pixels[window]
        values: NDArray[np.generic] = pixels[..., None] if pixels.ndim == 3 else pixels
        if self.dtype.kind == "f":
            mean, std = self.mean.astype(np.float32), self.std.astype(np.float32)
            values = (((values.astype(np.float32) / np.float32(self.divisor)) - mean) / std).astype(self.dtype)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if self.channels_first else values)

    def release(self) -> None:
        """Release the memory of mapped pixels."""
        if isinstance(self.pixels, np.ndarray):
            release_pages(self.pixels)


def _aligned(part: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the part as ONNX Runtime reads it; a mapped array may start at any byte of its file."""
    return np.require(part, requirements=("C", "ALIGNED"))
