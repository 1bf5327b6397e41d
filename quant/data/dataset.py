"""A calibration or evaluation set: arrays for the model's inputs, in batches, with labels where they are given."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.npz import give_back, read_arrays
from quant.errors import InputMismatch, NonFiniteData

BATCH = 8
"""Samples a batch: the activations of 8 samples are all that is ever held."""
_EXTRAS = ("labels", "images", "mean", "std")


@dataclass(frozen=True)
class Images:
    """uint8 images (N, H, W[, C]), normalised on the fly to (images / 255 - mean) / std, channels first."""

    pixels: NDArray[np.uint8]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def batch(self, window: slice) -> NDArray[np.float32]:
        pixels = self.pixels[window]
        pixels = pixels[..., None] if pixels.ndim == 3 else pixels
        normalised = (pixels.astype(np.float32) / 255 - self.mean.astype(np.float32)) / self.std.astype(np.float32)
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Dataset:
    """Samples for every input of one model; `batch` is the model's own where it is fixed, else 8.

    `part` are the numbers of the batches that are used, all of them where it is None. With `whole_feeds` each sample
    is all that the model takes in one run, its batch axis included.
    """

    inputs: Mapping[str, NDArray[np.generic] | Images]
    labels: NDArray[np.int64] | None
    samples: int
    batch: int
    part: tuple[int, ...] | None = None
    whole_feeds: bool = False

    @property
    def used(self) -> int:
        """How many samples are used: a model of fixed batch cannot take an incomplete last one."""
        return sum(window.stop - window.start for window in self._windows())

    def split(self, every: int) -> tuple["Dataset", "Dataset"]:
        """The set without every n-th batch, and these batches; twice the whole set where it has fewer than n."""
        numbers = range(len(self._windows()))
        held = tuple(number for number in numbers if number % every == every - 1)
        if not held:
            return self, self
        return replace(self, part=tuple(n for n in numbers if n not in held)), replace(self, part=held)

    def spread(self, samples: int) -> "Dataset":
        """The batches of about so many samples, evenly spread over those that are used; at least one."""
        numbers = self.numbers
        few = min(max(samples // self.batch, 1), len(numbers))
        return replace(self, part=tuple(numbers[i * len(numbers) // few] for i in range(few)))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the batches that are used."""
        return tuple(range(len(self._windows()))) if self.part is None else self.part

    def singly(self) -> "Dataset":
        """All samples one by one, where the model takes batches of any size."""
        return replace(self, batch=1, part=None) if self.batch == BATCH else self

    def halved(self) -> "Dataset":
        """The same samples in batches of half the size, where the model takes batches of any size; an incomplete one
        is left out, unless it is all there is."""
        half = BATCH // 2
        parts = (part for number in self.numbers for part in (2 * number, 2 * number + 1))
        complete = tuple(part for part in parts if (part + 1) * half <= self.samples)
        return replace(self, batch=half, part=complete) if self.batch == BATCH and complete else self

    def _windows(self) -> list[slice]:
        end = self.samples - (self.samples % self.batch if self.batch != BATCH else 0)
        windows = [slice(start, min(start + self.batch, end)) for start in range(0, end, self.batch)]
        return windows if self.part is None else [windows[number] for number in self.part]

    def batches(self) -> Iterator[dict[str, NDArray[np.generic]]]:
        for window in self._windows():
            yield {
                name: source.batch(window) if isinstance(source, Images) else self._cut(source, window)
                for name, source in self.inputs.items()
            }
            for source in self.inputs.values():
                give_back(source.pixels if isinstance(source, Images) else source)

    def watched(self, progress: Callable[[int, int], None]) -> Iterator[dict[str, NDArray[np.generic]]]:
        """The batches, each told of, as samples done and samples in all, when it is done with."""
        done, total = 0, self.used
        for feeds in self.batches():
            yield feeds
            done = min(done + self.batch, total)
            progress(done, total)

    def label_batches(self) -> Iterator[NDArray[np.int64] | None]:
        """The labels of each batch; None for each where there are none."""
        for window in self._windows():
            yield None if self.labels is None else self.labels[window]

    def _cut(self, array: NDArray[np.generic], window: slice) -> NDArray[np.generic]:
        cut = array[window.start] if self.whole_feeds else array[window]
        return np.require(cut, requirements=("C", "ALIGNED"))  # in its file an array may begin at any byte


def read_dataset(path: Path, model: ir.Model) -> Dataset:
    """The `.npz` or `.npy` at `path`, checked against the model's inputs.

    Raises:
        UnreadableDataset: not an npz or npy file, cut short, or with pickled objects.
        InputMismatch: an array is missing, or of a name, dtype or shape that the model does not take.
        NonFiniteData: an array holds NaN or infinity.
    """
    arrays = read_arrays(path)
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    arrays = _name_single(arrays, inputs)
    whole_feeds = _are_whole_feeds(arrays, inputs)
    sources = {str(value.name): _source(value, arrays, inputs, whole_feeds) for value in inputs}
    unknown = sorted(set(arrays) - set(sources) - set(_EXTRAS))
    if unknown:
        raise InputMismatch(f"array {unknown[0]!r} is no input of the model; its inputs are {_wanted(inputs)}")
    counts = {name: len(s.pixels if isinstance(s, Images) else s) for name, s in sources.items()}
    labels = _labels(arrays["labels"]) if "labels" in arrays else None
    if labels is not None:
        counts["labels"] = len(labels)
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputMismatch(f"every array needs the same number of samples, at least one; found {counts}")
    samples = next(iter(counts.values()))
    batch = 1 if whole_feeds else _fixed_batch(inputs) or BATCH
    if samples < batch != BATCH:
        raise InputMismatch(f"the model takes batches of exactly {batch} samples; the dataset has {samples}")
    return Dataset(sources, labels, samples, batch, whole_feeds=whole_feeds)


def _name_single(arrays: dict[str, NDArray[np.generic]], inputs: list[ir.Value]) -> dict[str, NDArray[np.generic]]:
    """A `.npy` holds one array without a name: it is for the only input."""
    if "" not in arrays:
        return arrays
    if len(inputs) != 1:
        raise InputMismatch(f"a .npy file is for a model of one input; this one has {_wanted(inputs)}")
    return {str(inputs[0].name): arrays[""]}


def _labels(array: NDArray[np.generic]) -> NDArray[np.int64]:
    """One class a sample; some exporters write them as a column, or as floats."""
    column = array.reshape(len(array)) if array.ndim and array.size == len(array) else array
    whole = column.astype(np.int64) if column.dtype.kind in "iub" or _is_whole(column) else None
    if column.ndim != 1 or whole is None:
        raise InputMismatch(f"array 'labels' is {array.dtype} of shape {list(array.shape)}; accepted: "
                            "one class number a sample, (N,)")  # fmt: skip
    return whole


def _is_whole(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and bool((np.abs(array) < 2**31).all() and (array == np.rint(array)).all())


def _source(
    value: ir.Value, arrays: Mapping[str, NDArray[np.generic]], inputs: list[ir.Value], whole_feeds: bool
) -> NDArray[np.generic] | Images:
    name = str(value.name)
    if name not in arrays and "images" in arrays and len(inputs) == 1:
        return _images(arrays, value)
    if name not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise InputMismatch(f"array {name!r} is missing (found: {found}); accepted: {_wanted(inputs)}")
    array = arrays[name]
    if value.dtype is not None and array.dtype != value.dtype.numpy():
        raise InputMismatch(f"array {name!r} is {array.dtype}; accepted: {value.dtype.numpy()}")
    if not array.ndim:
        raise InputMismatch(f"array {name!r} is one number; accepted: {_shape(value)}")
    if whole_feeds:
        _check_feed(name, array.shape, value)
    else:
        _check_shape(name, array.shape, value)
    _check_finite(name, array)
    return array


def _check_finite(name: str, array: NDArray[Any]) -> None:
    for start in range(0, len(array) if array.dtype.kind == "f" else 0, BATCH):
        part = array[start : start + BATCH]
        if not np.isfinite(part).all():
            first, *others = (int(i) for i in np.argwhere(~np.isfinite(part))[0])
            where = (start + first, *others)
            raise NonFiniteData(f"array {name!r} holds {array[where]} at {list(where)}; accepted: finite values")
        give_back(array)


def _images(arrays: Mapping[str, NDArray[np.generic]], value: ir.Value) -> Images:
    pixels = arrays["images"]
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise InputMismatch(f"array 'images' is {pixels.dtype} of shape {list(pixels.shape)}; "
                            "accepted: uint8, (N, H, W) or (N, H, W, C)")  # fmt: skip
    images = Images(
        pixels.astype(np.uint8, copy=False),
        np.asarray(arrays.get("mean", np.zeros(1)), np.float64).reshape(-1),
        np.asarray(arrays.get("std", np.ones(1)), np.float64).reshape(-1),
    )
    channels = 1 if pixels.ndim == 3 else pixels.shape[3]
    if {images.mean.size, images.std.size} - {1, channels} or not (images.std > 0).all():
        raise InputMismatch(f"'mean' and 'std' need 1 or {channels} finite values, std above zero")
    _check_shape("images", (len(pixels), channels, *pixels.shape[1:3]), value)
    return images


def _check_shape(name: str, shape: tuple[int, ...], value: ir.Value) -> None:
    """The first axis counts samples; the others must be what the model declares."""
    if value.shape is None:
        return
    wanted = list(value.shape)
    fits = len(wanted) == len(shape) and all(
        not _is_fixed(size) or size == given for size, given in zip(wanted[1:], shape[1:], strict=True)
    )
    if not fits:
        raise InputMismatch(f"array {name!r} has shape {list(shape)}; accepted: {_shape(value)}")


def _are_whole_feeds(arrays: Mapping[str, NDArray[np.generic]], inputs: list[ir.Value]) -> bool:
    """Whether every array has one axis more than its input: models whose inputs do not all count samples first."""
    return all(
        str(value.name) in arrays and value.shape is not None and arrays[str(value.name)].ndim == len(value.shape) + 1
        for value in inputs
    )


def _check_feed(name: str, shape: tuple[int, ...], value: ir.Value) -> None:
    """The first axis counts feeds; the others are the input's own."""
    assert value.shape is not None, "its rank was compared"
    sizes = list(value.shape)
    if any(_is_fixed(size) and size != given for size, given in zip(sizes, shape[1:], strict=True)):
        wanted = ", ".join(["samples", *map(str, sizes)])
        raise InputMismatch(f"array {name!r} has shape {list(shape)}; accepted: [{wanted}]")


def _is_fixed(size: Any) -> bool:
    """Whether an axis has one size only; some exporters write -1 for any."""
    return isinstance(size, int) and size > 0


def _fixed_batch(inputs: list[ir.Value]) -> int | None:
    for value in inputs:
        if value.shape is not None and len(value.shape):
            first = value.shape[0]
            if isinstance(first, int) and _is_fixed(first):
                return first
    return None


def _shape(value: ir.Value) -> str:
    if value.shape is None:
        return "any shape"
    sizes = [
        "N",
        *(str(size) if isinstance(size, int) else str(size.value or "?") for size in value.shape[1:]),
    ]
    return f"[{', '.join(sizes)}]"


def _wanted(inputs: list[ir.Value]) -> str:
    return ", ".join(f"{v.name!r} ({v.dtype.numpy() if v.dtype else 'any'} {_shape(v)})" for v in inputs)
