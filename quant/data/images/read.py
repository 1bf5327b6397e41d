"""The reader of archives of images, which feed the only input of a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir

from quant.data.dataset import BATCH, Dataset
from quant.data.declared import (
    agree,
    batch_axis,
    describe_inputs,
    describe_shape,
    describe_type,
    fixed_batch,
    is_fixed,
    sizes_of,
)
from quant.data.files import translate_errors
from quant.data.images.archive import ImageArchive
from quant.data.images.pixels import ArchivePixels, Color, common_size
from quant.data.images.preparation import ImagePreparation
from quant.data.sources import Images
from quant.errors import FieldError, InputMismatch, SpecError

Layout = Literal["NCHW", "NHWC"]
CHANNEL_AXIS: dict[Layout, int] = {"NCHW": 1, "NHWC": 3}
COUNTS = (1, 3)
"""The numbers of channels that images have."""
TYPES = ("float32", "float16", "uint8")


def read_images(path: Path, inputs: Sequence[ir.Value], preparation: ImagePreparation) -> Dataset:
    """Read the headers of the images at `path` and check them against the model's only input.

    The images themselves are decoded batch by batch, in the order of their names.

    Raises:
        UnreadableDataset: the archive or a file in it cannot be read.
        UnsupportedDataset: Pillow is not installed.
        InputMismatch: the model takes no images, or not those of the archive.
        SpecError: the preparation does not fit the model's input.
    """
    if len(inputs) != 1 or len(sizes_of(inputs[0]) or ()) != 4 or describe_type(inputs[0]) not in TYPES:
        raise InputMismatch(
            f"images are for a model of one input of 4 axes and of {', '.join(TYPES)}; its inputs are "
            f"{describe_inputs(inputs)}"
        )
    (value,) = inputs
    layout = _layout(value, preparation)
    with translate_errors():
        archive = ImageArchive(path)
        labels = archive.labels()
        size = common_size(archive, preparation)
    pixels = ArchivePixels(archive, preparation, _color(value, layout, preparation), size)
    images = Images(
        pixels,
        np.asarray(preparation.mean, np.float64).reshape(-1),
        np.asarray(preparation.std, np.float64).reshape(-1),
        divisor=preparation.divisor,
        channels_first=layout == "NCHW",
        dtype=np.dtype(describe_type(value)),
    )
    _check(value, images)
    data = Dataset({str(value.name): images}, labels, len(archive), BATCH)
    batch = fixed_batch(value)
    return data if batch is None else data.in_batches_of(batch)


def _layout(value: ir.Value, preparation: ImagePreparation) -> Layout:
    """Return the layout of the input: that of the spec, or the one in which the model fixes the number of channels.

    Raises:
        SpecError: the spec does not say it, and neither does the model.
    """
    if preparation.layout != "auto":
        return preparation.layout
    sizes = sizes_of(value) or []
    layout = next((layout for layout, axis in CHANNEL_AXIS.items() if sizes[axis] in COUNTS), None)
    if layout is None:
        raise _fault("layout", f"the input {value.name!r} {describe_shape(value)} fixes no axis of 1 or 3 channels; "
                     "accepted: NCHW or NHWC")  # fmt: skip
    return layout


def _color(value: ir.Value, layout: Layout, preparation: ImagePreparation) -> Color:
    """Return the channels of the input: those of the spec, or gray for one and RGB for three.

    Raises:
        SpecError: the model takes another number of channels.
    """
    channels = (sizes_of(value) or [])[CHANNEL_AXIS[layout]]
    color: Color = preparation.color if preparation.color != "auto" else "gray" if channels == 1 else "RGB"
    count = 1 if color == "gray" else 3
    if is_fixed(channels) and channels != count:
        raise _fault("color", f"{color} has {count} channels, and the input {value.name!r} {describe_shape(value)} "
                     f"in the layout {layout} has {channels}; accepted: 1 channel, gray, or 3, RGB or BGR")  # fmt: skip
    return color


def _check(value: ir.Value, images: Images) -> None:
    """Raise if the model does not take the prepared images.

    Raises:
        InputMismatch: the model fixes another size.
        SpecError: there are more or fewer means than channels, or a normalisation of integers.
    """
    channels = images.pixels.shape[3]
    for name, values in (("mean", images.mean), ("std", images.std)):
        if values.size not in (1, channels):
            accepted = "1" if channels == 1 else f"1, or {channels}, one for each channel"
            raise _fault(name, f"has {values.size} numbers; accepted: {accepted}")
        if images.dtype.kind != "f" and (values != (name == "std")).any():
            raise _fault(name, f"the input {value.name!r} is {images.dtype} and gets the pixels as they are; "
                         "accepted: no mean and std")  # fmt: skip
    height, width = images.pixels.shape[1:3]
    shape = (channels, height, width) if images.channels_first else (height, width, channels)
    sizes, axis = sizes_of(value) or [], batch_axis(value)
    if axis != 0 or not agree(sizes[1:], shape):
        raise InputMismatch(
            f"the images have the shape {list(shape)} once they are prepared; accepted: {describe_shape(value)}, by "
            "images.resize and images.crop in the spec"
        )


def _fault(option: str, detail: str) -> SpecError:
    pointer = f"/images/{option}"
    return SpecError(f"{pointer}: {detail}", [FieldError(pointer, detail)])
