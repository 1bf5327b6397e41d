"""The reader of datasets: it checks every array of an uploaded file against the inputs of the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import BATCH, Dataset
from quant.data.declared import (
    agree,
    batch_axis,
    describe_feeds,
    describe_inputs,
    describe_shape,
    describe_type,
    fixed_batch,
    has_fixed_sizes,
    names_batch,
    sizes_of,
    takes_type,
)
from quant.data.files import format_of, read_arrays
from quant.data.images.preparation import ImagePreparation
from quant.data.images.read import read_images
from quant.data.labels import read_labels
from quant.data.npz import release_pages
from quant.data.ragged import RaggedArrays, cut, free_axes, group_samples, in_runs, ragged_source
from quant.data.sources import AlongAxis, Constant, Feeds, Images, Ragged, Source
from quant.data.targets import Targets, is_targets, read_targets
from quant.errors import InputMismatch, NonFiniteData

Arrays = Mapping[str, NDArray[np.generic]]
_ROLES = ("labels", "images", "mean", "std")
"""The names of arrays that need not be inputs of the model. `__labels__` and so on have this meaning even where an
input of the model has the plain name."""


AS_THEY_ARE = ImagePreparation()
"""The preparation that keeps the size of images."""


def read_dataset(path: Path, model: ir.Model, preparation: ImagePreparation = AS_THEY_ARE) -> Dataset:
    """Read the file at `path`, of any format in `quant.data.formats`, and check it against the model's inputs.

    The images of an archive are prepared as declared.

    In files of arrays, an array belongs to the input of its name. Names that no input has are special: `labels` holds
    the correct classes, `images` uint8 images that are normalised with `mean` and `std`. `__labels__`, `__images__`,
    `__mean__` and `__std__` mean the same for every model.

    The array of an input has the input's shape, with all samples along its batch axis. An array with one axis more
    holds a complete value of the input for each sample. An input without a batch axis may have one value for all.
    Samples of several shapes are arrays `x.0`, `x.1`, and so on, or a padded array `x` with `x.lengths`.

    `targets` and `targets.<output>` hold the right outputs, for the metrics of tasks.

    Raises:
        UnreadableDataset: the file has no such format, is damaged, or contains pickled objects.
        UnsupportedDataset: the library that reads the format is not installed.
        InputMismatch: an array is missing, or the model does not take its name, dtype or shape.
        NonFiniteData: an array contains NaN or infinity.
        SpecError: the preparation does not fit the model's input.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    if format_of(path) == "images":
        return read_images(path, inputs, preparation)
    names = {str(value.name) for value in inputs}
    ragged = group_samples(_name_single(read_arrays(path), inputs), names)
    arrays, targets = _split_targets(ragged, names)
    special = _special(arrays, names)
    sources: dict[str, Source] = {}
    for value in inputs:
        several_shapes = _ragged_samples(value, arrays, ragged)
        sources[str(value.name)] = several_shapes or _source(value, arrays, special, alone=len(inputs) == 1)
    unknown = sorted({*arrays, *_ragged_names(ragged)} - names - {name for name, _ in special.values()})
    if unknown:
        raise InputMismatch(f"array {unknown[0]!r} is no input of the model; its inputs are {describe_inputs(inputs)}")
    labels = read_labels(*special["labels"]) if "labels" in special else None
    sources = _with_constants(sources, inputs, labels)
    samples = _count_samples(sources, labels, targets)
    data = in_runs(Dataset(sources, labels, samples, BATCH, targets=targets))
    size = _required_batch(sources, inputs)
    return data if size is None else data.in_batches_of(size)


def _name_single(arrays: Arrays, inputs: list[ir.Value]) -> Arrays:
    """Return the arrays by input name; the nameless array of a .npy file belongs to the only input."""
    if "" not in arrays:
        return arrays
    if len(inputs) != 1:
        raise InputMismatch(f"a .npy file is for a model of one input; this one has {describe_inputs(inputs)}")
    return {str(inputs[0].name): arrays[""]}


def _special(arrays: Arrays, inputs: set[str]) -> dict[str, tuple[str, NDArray[np.generic]]]:
    """Return the name in the file and the array of each role that the file fills; an input's own name wins."""
    special: dict[str, tuple[str, NDArray[np.generic]]] = {}
    for role in _ROLES:
        names = [name for name in (f"__{role}__", role) if name in arrays and name not in inputs]
        if len(names) > 1:
            raise InputMismatch(f"arrays {names[0]!r} and {names[1]!r} mean the same; accepted: one of them")
        if names:
            special[role] = names[0], arrays[names[0]]
    return special


def _split_targets(ragged: RaggedArrays, inputs: set[str]) -> tuple[dict[str, NDArray[np.generic]], Targets]:
    """Return the other arrays of one array for all samples, and the targets of each sample."""
    named = {name: array for name, array in ragged.plain.items() if name not in inputs and is_targets(name)}
    if scalar := next((name for name, array in named.items() if not array.ndim), None):
        raise InputMismatch(f"array {scalar!r} is one number; accepted: a target for each sample, samples first")
    samples = {name: list(array) for name, array in named.items()}
    for name in ragged.lengths.keys() & samples.keys():
        lengths = ragged.lengths[name]
        axes = range(1 if lengths.ndim == 1 else lengths.shape[1])
        samples[name] = list(cut(name, samples[name], lengths, axes))
    samples |= {name: list(values) for name, values in ragged.samples.items() if is_targets(name)}
    return {name: array for name, array in ragged.plain.items() if name not in named}, read_targets(samples)


def _ragged_names(ragged: RaggedArrays) -> set[str]:
    """Return the names of the arrays with samples of several shapes that hold no targets."""
    return {name for name in (*ragged.samples, *ragged.lengths) if not is_targets(name)}


def _ragged_samples(value: ir.Value, arrays: Arrays, ragged: RaggedArrays) -> Ragged | None:
    """Return the samples of one input that differ in shape; None where they do not."""
    name = str(value.name)
    samples = ragged.samples.get(name)
    if name in ragged.lengths:
        array = arrays[name]
        sizes = sizes_of(value)
        complete = sizes is not None and array.ndim == len(sizes) + 1
        axes = free_axes(value, array.ndim, complete=complete)
        if not axes or array.ndim < 2:
            raise InputMismatch(
                f"the model fixes every size of input {name!r} but the number of samples, so samples have one shape; "
                f"accepted: {describe_shape(value)} without lengths"
            )
        if sizes is not None and array.ndim not in (len(sizes), len(sizes) + 1):
            raise InputMismatch(f"array {name!r} has shape {list(array.shape)}; accepted: {describe_shape(value)}")
        rows = list(array if complete else np.moveaxis(array, batch_axis(value), 0))
        samples = cut(name, rows, ragged.lengths[name], axes)
    if samples is None:
        return None
    source = ragged_source(value, samples)
    for number, sample in enumerate(source.arrays):
        check_finite(f"{name}.{number}", sample)
    return source


def _count_samples(sources: Mapping[str, Source], labels: NDArray[np.int64] | None, targets: Targets) -> int:
    counts = {name: source.samples for name, source in sources.items() if source.samples is not None}
    counts |= {f"targets.{name}".removesuffix("."): len(values) for name, values in targets.items()}
    if labels is not None:
        counts["labels"] = len(labels)
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputMismatch(f"every array needs the same number of samples, at least one; found {counts}")
    return next(iter(counts.values()))


def _source(
    value: ir.Value, arrays: Arrays, special: Mapping[str, tuple[str, NDArray[np.generic]]], *, alone: bool
) -> Source:
    """Return the checked values of one input; `alone` if it is the model's only input."""
    name = str(value.name)
    if name not in arrays and "images" in special and alone:
        return _images(special, value)
    if name not in arrays:
        names = ", ".join(sorted(arrays)) or "nothing"
        raise InputMismatch(f"array {name!r} is missing (found: {names}); accepted: {describe_inputs([value])}")
    if isinstance(value.type, ir.SequenceType | ir.OptionalType):
        raise InputMismatch(
            f"input {name!r} of the model is a sequence or optional, which no array holds; "
            "accepted: a job without calibration and evaluation data"
        )
    array = arrays[name]
    if not takes_type(value, array.dtype):
        escape = f"; uint8 images for it go into '__{name}__'" if name == "images" else ""
        raise InputMismatch(f"array {name!r} is {array.dtype}; accepted: {describe_type(value)}{escape}")
    source = _placed(name, array, value)
    check_finite(name, array)
    return source


def _placed(name: str, array: NDArray[np.generic], value: ir.Value) -> Source:
    """Return the array as samples along the input's batch axis, as complete values, or as one value.

    Raises:
        InputMismatch: the shape is none of these.
    """
    sizes = sizes_of(value)
    if not array.ndim and sizes != []:
        raise InputMismatch(f"array {name!r} is one number; accepted: {describe_shape(value)}")
    if sizes is None:
        return AlongAxis(array)
    if array.ndim not in (len(sizes), len(sizes) + 1):
        raise InputMismatch(f"array {name!r} has shape {list(array.shape)}; accepted: {describe_shape(value)}")
    if array.ndim > len(sizes):
        if not agree(sizes, array.shape[1:]):
            raise InputMismatch(f"array {name!r} has shape {list(array.shape)}; accepted: {describe_feeds(value)}")
        return Feeds(array)
    if not sizes:
        return Constant(array)
    axis = batch_axis(value)
    free = [*sizes[:axis], "N", *sizes[axis + 1 :]]
    if not agree(free, array.shape):
        raise InputMismatch(f"array {name!r} has shape {list(array.shape)}; accepted: {describe_shape(value)}")
    return AlongAxis(array, axis)


def _with_constants(
    sources: Mapping[str, Source], inputs: list[ir.Value], labels: NDArray[np.int64] | None
) -> dict[str, Source]:
    """Return the sources, with one value for all samples where an array is one value of an input without a batch axis.

    That is so if the array has exactly its input's fixed shape, or if only other inputs name an axis `batch` or the
    like; and if the other arrays, or the labels, have another number of samples.
    """
    named = any(map(names_batch, inputs))
    whole = {
        str(value.name): source
        for value in inputs
        if isinstance(source := sources[str(value.name)], AlongAxis)
        and (list(source.array.shape) == sizes_of(value) if has_fixed_sizes(value) else _lacks_batch(value, named))
    }
    others = [source.samples for name, source in sources.items() if name not in whole and source.samples is not None]
    counts = [*others, *([] if labels is None else [len(labels)]), *(source.samples for source in whole.values())]
    constants = {name: Constant(source.array) for name, source in whole.items() if source.samples != counts[0]}
    return {**sources, **constants}


def _lacks_batch(value: ir.Value, named: bool) -> bool:
    """Return True if an input of known rank names no axis as the batch; `named` if an input of the model does."""
    return named and sizes_of(value) is not None and fixed_batch(value) is None and not names_batch(value)


def _required_batch(sources: Mapping[str, Source], inputs: list[ir.Value]) -> int | None:
    """Return the batch size that the inputs require; None if any size is accepted.

    Raises:
        InputMismatch: they require different ones.
    """
    sizes = {
        name: 1 if isinstance(source, Feeds | Ragged) and source.axis is None else fixed_batch(value)
        for value in inputs
        if not isinstance(source := sources[name := str(value.name)], Constant)
    }
    required = {name: size for name, size in sizes.items() if size is not None}
    if len(set(required.values())) > 1:
        raise InputMismatch(
            f"the inputs need different numbers of samples per batch: {required}; accepted: arrays with one axis more "
            f"for all inputs, {', '.join(f'{value.name!r} {describe_feeds(value)}' for value in inputs)}"
        )
    return next(iter(required.values()), None)


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise if a float array holds NaN or infinity; 0 and -inf alone are the mask of an attention.

    Raises:
        NonFiniteData: the array is no mask and holds a value that is not finite.
    """
    if array.dtype.kind != "f":
        return
    samples, is_mask, first_place = array.reshape(1) if not array.ndim else array, True, None
    for start in range(0, len(samples), BATCH):
        part = samples[start : start + BATCH]
        finite = np.isfinite(part)
        is_mask = is_mask and bool(((part == 0) | (part == -np.inf)).all())
        if first_place is None and not finite.all():
            first, *others = (int(i) for i in np.argwhere(~finite)[0])
            first_place = (start + first, *others)
        if first_place is not None and not is_mask:
            raise NonFiniteData(
                f"array {name!r} holds {samples[first_place]} at {list(first_place)}; accepted: finite values, "
                "or 0 and -inf alone in a mask"
            )
        release_pages(array)


def _images(special: Mapping[str, tuple[str, NDArray[np.generic]]], value: ir.Value) -> Images:
    name, pixels = special["images"]
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise InputMismatch(f"array {name!r} is {pixels.dtype} of shape {list(pixels.shape)}; "
                            "accepted: uint8, (N, H, W) or (N, H, W, C)")  # fmt: skip
    images = Images(
        pixels.astype(np.uint8, copy=False),
        np.asarray(special["mean"][1] if "mean" in special else np.zeros(1), np.float64).reshape(-1),
        np.asarray(special["std"][1] if "std" in special else np.ones(1), np.float64).reshape(-1),
    )
    channels = 1 if pixels.ndim == 3 else pixels.shape[3]
    if {images.mean.size, images.std.size} - {1, channels} or not (images.std > 0).all():
        raise InputMismatch(f"'mean' and 'std' need 1 or {channels} finite values, std above zero")
    sizes, shape = sizes_of(value), (len(pixels), channels, *pixels.shape[1:3])
    if sizes is not None and (len(sizes) != 4 or not agree(["N", *sizes[1:]], shape)):
        raise InputMismatch(f"array {name!r} has shape {list(shape)}; accepted: {describe_shape(value)}")
    return images
