"""Pixels of image files, decoded by Pillow when a batch is read. A small set stays in memory once it is decoded.

Files are untrusted: four decoders are enabled, and sizes are checked before anything is decoded. An orientation in EXIF
and a colour profile are not applied, and transparency is dropped, as torchvision's loader does.
"""

import io
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from quant.data.images.archive import ImageArchive
from quant.data.images.preparation import ImagePreparation, Size
from quant.errors import InputMismatch, UnreadableDataset, UnsupportedDataset

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK")
"""Pillow's names of pixels with 8 bits for each channel or less."""
MAX_PIXELS = 1 << 26
"""The most pixels of an image, before and after its size is changed: 67 million take 200 MB in memory."""
MAX_KEPT_BYTES = 128 << 20
"""Prepared images are kept up to so many bytes, 890 images of 224 x 224: a job reads its calibration set many times."""
Color = Literal["RGB", "BGR", "gray"]


@dataclass(frozen=True)
class ArchivePixels:
    """The pixels of an archive of images as an array (N, H, W, C) of uint8 that is decoded slice by slice.

    Attributes:
        archive: the image files.
        preparation: the size and the filter.
        color: the channels.
        size: the height and the width of every prepared image.
        prepared: the images that were prepared first, by their number.
    """

    archive: ImageArchive
    preparation: ImagePreparation
    color: Color
    size: Size
    prepared: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.archive)

    def __getitem__(self, window: slice) -> NDArray[np.uint8]:
        """Return the prepared images of a slice.

        Raises:
            UnreadableDataset: a file is damaged.
        """
        return np.stack([self._image(number) for number in range(len(self))[window]])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the array."""
        return len(self), *self.size, 1 if self.color == "gray" else 3

    def _image(self, number: int) -> NDArray[np.uint8]:
        """Return one image (H, W, C), which is prepared again unless it is kept."""
        image = self.prepared.get(number)
        if image is None:
            image = self._prepared(number)
            if len(self.prepared) < MAX_KEPT_BYTES // image.nbytes:
                self.prepared[number] = image
        return image

    def _prepared(self, number: int) -> NDArray[np.uint8]:
        """Return one image (H, W, C)."""
        name = self.archive.names[number]
        picture = opened(self.archive.read(number), name)
        try:
            picture = picture.convert("L" if self.color == "gray" else "RGB")
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise many types
            raise _unreadable(name, error) from None
        height, width = self.preparation.resized((picture.height, picture.width))
        if (picture.height, picture.width) != (height, width):
            picture = picture.resize((width, height), pillow().Resampling[self.preparation.interpolation.upper()])
        top, left = round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)
        picture = picture.crop((left, top, left + self.size[1], top + self.size[0]))
        pixels = np.asarray(picture).reshape(*self.size, -1)
        return pixels[..., ::-1] if self.color == "BGR" else pixels


def common_size(archive: ImageArchive, preparation: ImagePreparation) -> Size:
    """Return the height and the width that all images have once they are prepared, from the headers of the files.

    Raises:
        UnreadableDataset: a file is no image that is accepted.
        InputMismatch: images differ in size, or are smaller than the crop.
        UnsupportedDataset: Pillow is not installed.
    """
    first: Size | None = None
    for number, name in enumerate(archive.names):
        picture = opened(archive.read(number), name)
        size = picture.height, picture.width
        resized = preparation.resized(size)
        cropped = preparation.cropped(resized)
        if resized[0] * resized[1] > MAX_PIXELS:
            raise InputMismatch(f"image {name!r} has {list(resized)} pixels resized; accepted: up to {MAX_PIXELS}")
        if cropped[0] > resized[0] or cropped[1] > resized[1]:
            raise InputMismatch(
                f"image {name!r} has {list(resized)} pixels and the crop {list(cropped)}; accepted: larger images, or "
                "images.resize in the spec"
            )
        first = first or cropped
        if cropped != first:
            raise InputMismatch(
                f"image {name!r} has {list(cropped)} pixels and {archive.names[0]!r} {list(first)}; accepted: images "
                "of one size, or images.resize and images.crop in the spec"
            )
    assert first is not None, "an archive has an image"
    return first


def opened(content: bytes, name: str) -> "Image":
    """Return an image whose header is read and accepted, and whose pixels are not decoded yet.

    Args:
        content: the bytes of the file.
        name: the name of the member, for error texts.

    Raises:
        UnreadableDataset: it is no JPEG, PNG, BMP or WebP, has too many pixels, moves, or has other pixels than 8 bits.
        UnsupportedDataset: Pillow is not installed.
    """
    image = pillow()
    try:
        picture: Image = image.open(io.BytesIO(content), formats=FORMATS)
    except MemoryError:
        raise
    except image.UnidentifiedImageError:  # its text is the address of the bytes in memory
        raise UnreadableDataset(
            f"image {name!r} cannot be read (unknown format); accepted: {', '.join(FORMATS)}"
        ) from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise many types
        raise _unreadable(name, error) from None
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        raise UnreadableDataset(
            f"image {name!r} has {picture.width} x {picture.height} pixels; accepted: 1 to {MAX_PIXELS} pixels"
        )
    if getattr(picture, "is_animated", False) and picture.format != "MPO":  # MPO: a JPEG with further pictures
        raise UnreadableDataset(f"image {name!r} is animated; accepted: images of one frame")
    if picture.mode not in MODES:
        raise UnreadableDataset(f"image {name!r} has pixels of mode {picture.mode}; accepted: 8 bits for each channel")
    return picture


def pillow() -> ModuleType:
    """Return Pillow's module of images, which is loaded only if an archive of images is opened.

    Raises:
        UnsupportedDataset: it is not installed.
    """
    try:
        import PIL.Image
    except ImportError:
        raise UnsupportedDataset(
            "archives of images need Pillow, which is not installed; accepted: .npz, .npy or .safetensors, or install "
            "quantd-server[data]"
        ) from None
    return PIL.Image


def _unreadable(name: str, error: Exception) -> UnreadableDataset:
    reason = str(error).split("\n")[0][:200] or type(error).__name__
    return UnreadableDataset(f"image {name!r} cannot be read ({reason}); accepted: {', '.join(FORMATS)}")
