"""The declared preparation of images: size, colour, layout and normalisation.

It follows torchvision's transforms Resize, CenterCrop, ToTensor and Normalize on images of Pillow, to the bit.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_SIDE = 16_384
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Size = tuple[int, int]
"""Height and width in pixels."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Channels = Field(min_length=1, max_length=3)


class ImagePreparation(BaseModel):
    """The preparation of the images of an archive for the model's only input: (pixels / divisor - mean) / std."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    resize: Side | tuple[Side, Side] | None = None
    """The size before the crop, in pixels: that of the shorter side, or [height, width]; null to keep the size."""
    crop: Side | tuple[Side, Side] | None = None
    """The size of the part at the centre that is used, in pixels: one side, or [height, width]; null for all."""
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    """The filter of Pillow that computes the pixels of another size."""
    color: Literal["auto", "RGB", "BGR", "gray"] = "auto"
    """The channels; `auto` takes gray for one channel of the model's input, and RGB for three."""
    layout: Literal["auto", "NCHW", "NHWC"] = "auto"
    """The axes of the input: channels first or last; `auto` takes the axis where the model fixes 1 or 3 channels."""
    divisor: Positive = 255
    """The number that divides pixels of 0 to 255; an input of uint8 gets the pixels as they are."""
    mean: Finite | Annotated[tuple[Finite, ...], Channels] = 0
    """The number that is subtracted after the division, one for all channels or one for each."""
    std: Positive | Annotated[tuple[Positive, ...], Channels] = 1
    """The number that divides the difference, one for all channels or one for each."""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if isinstance(self.resize, tuple) and self.crop is not None:
            crop = _pair(self.crop)
            if any(part > whole for part, whole in zip(crop, self.resize, strict=True)):
                raise ValueError(f"crop {list(crop)} is larger than resize {list(self.resize)}; accepted: up to it")
        if isinstance(self.resize, int) and self.crop is not None and min(_pair(self.crop)) > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}; accepted: up to it")
        return self

    def resized(self, size: Size) -> Size:
        """Return the size of an image after `resize`."""
        if self.resize is None:
            return size
        if isinstance(self.resize, tuple):
            return self.resize
        shorter = min(size)
        longer = int(self.resize * max(size) / shorter)
        return (self.resize, longer) if size[0] <= size[1] else (longer, self.resize)

    def cropped(self, size: Size) -> Size:
        """Return the size of a resized image after `crop`; it may be larger than the image."""
        return size if self.crop is None else _pair(self.crop)


def _pair(side: int | tuple[int, int]) -> Size:
    return side if isinstance(side, tuple) else (side, side)
