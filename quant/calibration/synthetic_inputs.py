"""Synthetic inputs of a model: images of smooth noise and of shapes, numbers of table entries, masks.

There are two kinds, each of which fills every input. They differ in texture, contrast and frequency of numbers: what
both agree on is likely to hold for real data, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.synthetic_images import Image, leaves, smooth_noise
from quant.data.dataset import BATCH, Dataset
from quant.data.declared import batch_axis, describe_shape, describe_type, is_fixed, sizes_of
from quant.data.sources import Feeds
from quant.graph.constants import constant_tensor
from quant.graph.operators import is_cast, moves_values, operator_of

Kind = Literal["noise", "shapes"]
KINDS: tuple[Kind, ...] = ("noise", "shapes")
CONTRAST: Mapping[Kind, float] = {"noise": 1.0, "shapes": 0.5}
"""The deviation of each kind, relative to that of the input's range, which is not known well."""
IMAGE_AXES, MAX_COLOURS, MIN_SIDE = 4, 4, 8
"""The axes of images with their batch, the most channels of an image, and its least height and width."""
FREE_SIDE, FREE_LENGTH = 64, 64
"""The height and width of images, and the length of other inputs, where the model takes any."""


@dataclass(frozen=True)
class ImageRange:
    """The mean and the standard deviation of an image input, one value or one for each channel (C,)."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


STANDARDISED = ImageRange(np.zeros(1), np.ones(1))
"""The range of images of which nothing is known."""


class NoSyntheticInputs(Exception):
    """The reason why no inputs can be made for a model."""


def synthetic_set(
    model: ir.Model, kind: Kind, ranges: Mapping[str, ImageRange], samples: int, seed: int, batch: int = BATCH
) -> Dataset:
    """Return inputs of one kind for a model, in whole feeds: `samples` or a few more, at least one feed.

    Args:
        model: the model; each of its inputs that is no constant is filled.
        kind: the kind.
        ranges: the ranges of images by the input's name; `STANDARDISED` for the others.
        samples: the number of samples.
        seed: the seed of the random numbers.
        batch: the samples of a feed where the model takes any number.

    Raises:
        NoSyntheticInputs: the values that an input takes cannot be guessed.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    sizes = {str(value.name): _sizes(value, batch) for value in inputs}
    together = max((sizes[str(value.name)][batch_axis(value)] for value in inputs if sizes[str(value.name)]), default=1)
    feeds = max(-(-samples // together), 1)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    arrays = {
        str(value.name): _values(
            rng, value, kind, [feeds, *sizes[str(value.name)]], ranges.get(str(value.name), STANDARDISED)
        )
        for value in inputs
    }
    return Dataset({name: Feeds(array) for name, array in arrays.items()}, None, feeds, batch=1, fixed=True)


def is_image(value: ir.Value) -> bool:
    """Return True for an input of floats that holds images of at most 4 channels, which come first or last."""
    sizes = sizes_of(value)
    floats = value.dtype is not None and value.dtype.is_floating_point()
    if not floats or sizes is None or len(sizes) != IMAGE_AXES or batch_axis(value) != 0:
        return False
    first, middle, last = (size if isinstance(size, int) and is_fixed(size) else FREE_SIDE for size in sizes[1:])
    return middle >= MIN_SIDE and min(first, last) <= MAX_COLOURS and max(first, last) >= MIN_SIDE


def _values(
    rng: np.random.Generator, value: ir.Value, kind: Kind, sizes: list[int], known: ImageRange
) -> NDArray[np.generic]:
    """Return the values of one input for each feed; the first of the `sizes` counts the feeds."""
    if value.dtype is None or value.dtype == ir.DataType.STRING:
        raise _unknown(value)
    dtype = value.dtype.numpy()
    if "mask" in str(value.name).lower() or value.dtype == ir.DataType.BOOL:
        return np.ones(sizes, dtype)
    if not value.dtype.is_floating_point():
        return _numbers(rng, value, kind, sizes).astype(dtype)
    if not is_image(value):
        raise _unknown(value)
    first = sizes[2] <= MAX_COLOURS
    channels, height, width = sizes[2:] if first else (sizes[4], *sizes[2:4])
    draw = smooth_noise if kind == "noise" else leaves
    images = np.stack([draw(rng, channels, height, width) for _ in range(sizes[0] * sizes[1])])
    images = _in_range(images, known, CONTRAST[kind]).reshape(*sizes[:2], channels, height, width)
    return (images if first else np.moveaxis(images, 2, 4)).astype(dtype)


def _in_range(images: Image, known: ImageRange, contrast: float) -> Image:
    """Return images (n, C, H, W) of mean 0 and variance 1 in a range."""
    mean, deviation = (part.reshape(-1, 1, 1) for part in (known.mean, known.deviation))
    return images * (contrast * deviation) + mean


def _numbers(
    rng: np.random.Generator, value: ir.Value, kind: Kind, sizes: list[int]
) -> NDArray[np.floating] | NDArray[np.integer]:
    """Return the numbers of table entries for an input that looks them up: all equally often, or low ones more often.

    The density of low numbers n is 1 / n (Zipf's law).
    """
    entries = min(_table_entries(value), default=0)
    if not entries:
        raise _unknown(value)
    if kind == "noise":
        return rng.integers(0, entries, sizes)
    return np.floor((entries + 1) ** rng.uniform(size=sizes)) - 1


def _table_entries(value: ir.Value) -> Iterator[int]:
    """Yield the number of entries of each constant table that the values of a tensor are read from."""
    for node, index in value.uses():
        operator = operator_of(node)
        table = None if operator is None or not operator.lookup else constant_tensor(node.inputs[0])
        if table is not None and index == 1:
            yield table.shape.numpy()[node.attributes.get_int("axis", 0)]
        elif index == 0 and (is_cast(node) or moves_values(node)):
            yield from _table_entries(node.outputs[0])


def _sizes(value: ir.Value, batch: int) -> list[int]:
    """Return the sizes of an input for one feed, which holds `batch` samples where it may hold any number."""
    sizes = sizes_of(value)
    if sizes is None:
        raise _unknown(value)
    free, counted = FREE_SIDE if is_image(value) else FREE_LENGTH, batch_axis(value)
    return [int(size) if is_fixed(size) else batch if axis == counted else free for axis, size in enumerate(sizes)]


def _unknown(value: ir.Value) -> NoSyntheticInputs:
    """Return the reason why an input cannot be filled."""
    return NoSyntheticInputs(
        f"input {value.name!r} ({describe_type(value)} {describe_shape(value)}) holds neither images nor numbers of "
        "entries of a table"
    )
