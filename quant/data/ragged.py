"""Samples of several shapes: an array for each sample, or padded arrays with lengths.

`x.0`, `x.1`, and so on are the samples of the array `x`. An array `x` with `x.lengths` is padded: the lengths are the
sizes of each sample along its free axes. Samples of one shape form a run, and batches never mix runs.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.data.declared import batch_axis, describe_shape, describe_type, fixed_batch, is_fixed, sizes_of, takes_type
from quant.data.sources import AlongAxis, Constant, Feeds, Images, Ragged, Source
from quant.errors import InputMismatch

Array = NDArray[np.generic]
LENGTHS = ".lengths"
_SAMPLE = re.compile(r"(.+)\.(0|[1-9]\d*)")


@dataclass(frozen=True)
class RaggedArrays:
    """The arrays of a file, with those of single samples put together.

    Attributes:
        plain: the other arrays by name.
        samples: the values of each sample, by the name without its number.
        lengths: the lengths of padded arrays (N,) or (N, axes), by the name of the padded array.
    """

    plain: Mapping[str, Array]
    samples: Mapping[str, tuple[Array, ...]]
    lengths: Mapping[str, Array]


def group_samples(arrays: Mapping[str, Array], inputs: Container[str]) -> RaggedArrays:
    """Return the arrays with those of single samples put together; the name of an input is never that of a sample.

    Raises:
        InputMismatch: the numbers of an array's samples have gaps, or lengths are no integers or have no array.
    """
    numbered: dict[str, dict[int, Array]] = {}
    plain: dict[str, Array] = {}
    for name, array in arrays.items():
        place = None if name in inputs else _SAMPLE.fullmatch(name)
        if place is None:
            plain[name] = array
        else:
            numbered.setdefault(place[1], {})[int(place[2])] = array
    for name, values in numbered.items():
        missing = next((number for number in range(len(values)) if number not in values), None)
        if missing is not None:
            raise InputMismatch(f"array '{name}.{missing}' is missing; accepted: samples numbered from 0 without a gap")
        if name in plain:
            raise InputMismatch(f"arrays {name!r} and '{name}.0' mean the same; accepted: one of them")
    samples = {name: tuple(values[number] for number in range(len(values))) for name, values in numbered.items()}
    names = [name for name in plain if name.endswith(LENGTHS) and name not in inputs]
    lengths = {name.removesuffix(LENGTHS): _checked_lengths(name, plain.pop(name), plain) for name in names}
    return RaggedArrays(plain, samples, lengths)


def cut(name: str, samples: Sequence[Array], lengths: Array, axes: Sequence[int]) -> tuple[Array, ...]:
    """Return padded samples with their lengths along some axes.

    Args:
        name: the name of the array, for error texts.
        samples: the padded values, one for each sample.
        lengths: the sizes of each sample, shape (N,) for one axis, else (N, axes).
        axes: the axes of a sample that have a length, in order.

    Raises:
        InputMismatch: there is not one length for each sample and axis, or one is longer than the padded array.
    """
    sizes = lengths.reshape(len(lengths), -1).astype(np.int64)
    if sizes.shape != (len(samples), len(axes)):
        raise InputMismatch(
            f"array {name + LENGTHS!r} has shape {list(lengths.shape)}; accepted: [{len(samples)}, {len(axes)}], a "
            f"length for each sample along its {len(axes)} free axes"
        )
    limits = [samples[0].shape[axis] for axis in axes]
    outside = np.argwhere((sizes < 1) | (sizes > np.asarray(limits)))
    if outside.size:
        sample, axis = (int(number) for number in outside[0])
        raise InputMismatch(
            f"length {sizes[sample, axis]} of sample {sample} in array {name + LENGTHS!r} is outside of the padded "
            f"array; accepted: 1 to {limits[axis]}"
        )
    parts = []
    for values, row in zip(samples, sizes, strict=True):
        place = [slice(None)] * values.ndim
        for axis, size in zip(axes, row, strict=True):
            place[axis] = slice(int(size))
        parts.append(values[tuple(place)])
    return tuple(parts)


def ragged_source(value: ir.Value, samples: Sequence[Array]) -> Ragged:
    """Return the samples of one input: as values without its batch axis, or as complete values.

    A sample may have the batch axis, of size 1, or lack it. Where the input has no batch axis, or several samples along
    it, a sample is a complete value, and samples run one by one.

    Raises:
        InputMismatch: a sample does not have the type or the axes of the input, or a size that the model fixes.
    """
    name, sizes, axis = str(value.name), sizes_of(value), batch_axis(value)
    for number, sample in enumerate(samples):
        if not takes_type(value, sample.dtype):
            raise InputMismatch(f"array '{name}.{number}' is {sample.dtype}; accepted: {describe_type(value)}")
    ranks = {sample.ndim for sample in samples}
    rank = samples[0].ndim if sizes is None else len(sizes)
    if rank == 0 or ranks not in ({rank}, {rank - 1}):
        raise InputMismatch(
            f"the samples of array {name!r} have {' or '.join(map(str, sorted(ranks)))} axes; accepted: {rank}, as in "
            f"{describe_shape(value)} with N = 1, or {rank - 1} without the axis of samples"
        )
    if ranks == {rank - 1}:
        source = Ragged(tuple(samples), axis)
    elif fixed_batch(value) in (None, 1) and all(sample.shape[axis] == 1 for sample in samples):
        source = Ragged(tuple(np.asarray(sample.take(0, axis)) for sample in samples), axis)
    else:
        source = Ragged(tuple(samples), None)
    _check_sizes(value, source, samples)
    return source


def in_runs(data: Dataset) -> Dataset:
    """Return the set with samples of one shape side by side, the most frequent shape first, and their targets."""
    ragged = [source for source in data.sources.values() if isinstance(source, Ragged)]
    if not ragged:
        return data
    numbers: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for sample in range(data.samples):
        numbers.setdefault(tuple(source.arrays[sample].shape for source in ragged), []).append(sample)
    runs = sorted(numbers.values(), key=len, reverse=True)
    order = [sample for run in runs for sample in run]
    return replace(
        data,
        inputs={name: _reordered(source, order) for name, source in data.sources.items()},
        labels=None if data.labels is None else data.labels[order],
        targets={name: [values[sample] for sample in order] for name, values in data.targets.items()},
        runs=tuple(int(end) for end in np.cumsum([len(run) for run in runs])),
    )


def free_axes(value: ir.Value, rank: int, *, complete: bool) -> list[int]:
    """Return the axes of a sample whose size the model leaves free, without the axis of samples.

    Args:
        value: the input.
        rank: the number of axes of the input, for one of unknown rank.
        complete: True if the sample is a complete value, False if it lacks the axis of samples.
    """
    sizes = sizes_of(value) or ["?"] * rank
    axis = None if complete else batch_axis(value)
    free = [number for number, size in enumerate(sizes) if not is_fixed(size) and number != axis]
    return [number - (axis is not None and number > axis) for number in free]


def _check_sizes(value: ir.Value, source: Ragged, samples: Sequence[Array]) -> None:
    """Raise if a sample has another size along an axis than the model fixes."""
    sizes = sizes_of(value)
    if sizes is None:
        return
    expected = sizes if source.axis is None else [*sizes[: source.axis], *sizes[source.axis + 1 :]]
    for number, (sample, given) in enumerate(zip(source.arrays, samples, strict=True)):
        if any(is_fixed(size) and size != length for size, length in zip(expected, sample.shape, strict=True)):
            raise InputMismatch(
                f"array '{value.name}.{number}' has shape {list(given.shape)}, and the model fixes a size of input "
                f"{value.name!r} that differs; accepted: {describe_shape(value)}, one sample or without its axis"
            )


def _reordered(source: Source, order: list[int]) -> Source:
    match source:
        case AlongAxis(array, axis):
            return AlongAxis(np.take(array, order, axis), axis)
        case Feeds(array):
            return Feeds(array[order])
        case Ragged(arrays, axis):
            return Ragged(tuple(arrays[sample] for sample in order), axis)
        case Images(pixels):
            return replace(source, pixels=pixels[order])
    assert isinstance(source, Constant)
    return source


def _checked_lengths(name: str, lengths: Array, arrays: Iterable[str]) -> Array:
    padded = name.removesuffix(LENGTHS)
    if padded not in arrays:
        raise InputMismatch(f"array {name!r} has no array {padded!r} whose lengths it could hold")
    if lengths.dtype.kind not in "iu" or lengths.ndim not in (1, 2):
        raise InputMismatch(
            f"array {name!r} is {lengths.dtype} of shape {list(lengths.shape)}; accepted: integers (N,), or (N, axes)"
        )
    return lengths
