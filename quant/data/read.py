"""The reader of datasets: it checks every array of an uploaded file against the inputs of the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import BATCH, Dataset, Images
from quant.data.npz import read_arrays, release_pages
from quant.errors import InputMismatch, NonFiniteData

Arrays = Mapping[str, NDArray[np.generic]]
_NOT_INPUTS = ("labels", "images", "mean", "std")
"""The names of arrays that need not be inputs of the model."""


def read_dataset(path: Path, model: ir.Model) -> Dataset:
    """Read the `.npz` or `.npy` file at `path` and check it against the model's inputs.

    Raises:
        UnreadableDataset: the file is no .npz or .npy, is cut short, or contains pickled objects.
        InputMismatch: an array is missing, or the model does not take its name, dtype or shape.
        NonFiniteData: an array contains NaN or infinity.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    arrays = _name_single(read_arrays(path), inputs)
    whole_feeds = _are_whole_feeds(arrays, inputs)
    sources = {str(value.name): _source(value, arrays, inputs, whole_feeds) for value in inputs}
    unknown = sorted(set(arrays) - set(sources) - set(_NOT_INPUTS))
    if unknown:
        raise InputMismatch(f"array {unknown[0]!r} is no input of the model; its inputs are {_describe(inputs)}")
    labels = _labels(arrays["labels"]) if "labels" in arrays else None
    samples = _count_samples(sources, labels)
    batch = 1 if whole_feeds else _fixed_batch(inputs) or BATCH
    if samples < batch != BATCH:
        raise InputMismatch(f"the model takes batches of exactly {batch} samples; the dataset has {samples}")
    return Dataset(sources, labels, samples, batch, whole_feeds=whole_feeds)


def _name_single(arrays: Arrays, inputs: list[ir.Value]) -> Arrays:
    """Return the arrays by input name; the nameless array of a .npy file belongs to the only input."""
    if "" not in arrays:
        return arrays
    if len(inputs) != 1:
        raise InputMismatch(f"a .npy file is for a model of one input; this one has {_describe(inputs)}")
    return {str(inputs[0].name): arrays[""]}


def _count_samples(sources: Mapping[str, NDArray[np.generic] | Images], labels: NDArray[np.int64] | None) -> int:
    counts = {name: len(s.pixels if isinstance(s, Images) else s) for name, s in sources.items()}
    if labels is not None:
        counts["labels"] = len(labels)
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputMismatch(f"every array needs the same number of samples, at least one; found {counts}")
    return next(iter(counts.values()))


def _labels(array: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return one class number for each sample; some exporters write a column, or floats."""
    column = array.reshape(len(array)) if array.ndim and array.size == len(array) else array
    labels = column.astype(np.int64) if column.dtype.kind in "iub" or _is_whole(column) else None
    if column.ndim != 1 or labels is None:
        raise InputMismatch(f"array 'labels' is {array.dtype} of shape {list(array.shape)}; accepted: "
                            "one class number a sample, (N,)")  # fmt: skip
    return labels


def _is_whole(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and bool((np.abs(array) < 2**31).all() and (array == np.rint(array)).all())


def _source(value: ir.Value, arrays: Arrays, inputs: list[ir.Value], whole_feeds: bool) -> NDArray[np.generic] | Images:
    """Return the checked array, or the images, for one input."""
    name = str(value.name)
    if name not in arrays and "images" in arrays and len(inputs) == 1:
        return _images(arrays, value)
    if name not in arrays:
        names = ", ".join(sorted(arrays)) or "nothing"
        raise InputMismatch(f"array {name!r} is missing (found: {names}); accepted: {_describe(inputs)}")
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
        release_pages(array)


def _images(arrays: Arrays, value: ir.Value) -> Images:
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
    """Raise unless all axes but the first, which counts samples, are as the model declares them."""
    if value.shape is None:
        return
    sizes = list(value.shape)
    fits = len(sizes) == len(shape) and all(
        not _is_fixed(declared) or declared == size for declared, size in zip(sizes[1:], shape[1:], strict=True)
    )
    if not fits:
        raise InputMismatch(f"array {name!r} has shape {list(shape)}; accepted: {_shape(value)}")


def _are_whole_feeds(arrays: Arrays, inputs: list[ir.Value]) -> bool:
    """Return True if every array has one axis more than its input.

    This is the format for models in which the first axis of some input does not count samples.
    """
    return all(
        str(value.name) in arrays and value.shape is not None and arrays[str(value.name)].ndim == len(value.shape) + 1
        for value in inputs
    )


def _check_feed(name: str, shape: tuple[int, ...], value: ir.Value) -> None:
    """Raise unless all axes after the first, which counts feeds, are those of the input."""
    assert value.shape is not None, "the rank was compared before"
    sizes = list(value.shape)
    if any(_is_fixed(declared) and declared != size for declared, size in zip(sizes, shape[1:], strict=True)):
        accepted = ", ".join(["samples", *map(str, sizes)])
        raise InputMismatch(f"array {name!r} has shape {list(shape)}; accepted: [{accepted}]")


def _is_fixed(size: Any) -> bool:
    """Return True if the model fixes the size of an axis; some exporters write -1 for any size."""
    return isinstance(size, int) and size > 0


def _fixed_batch(inputs: list[ir.Value]) -> int | None:
    """Return the batch size that the model fixes, or None."""
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


def _describe(inputs: list[ir.Value]) -> str:
    return ", ".join(f"{v.name!r} ({v.dtype.numpy() if v.dtype else 'any'} {_shape(v)})" for v in inputs)
