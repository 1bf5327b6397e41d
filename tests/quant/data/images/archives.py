"""Archives of images for tests."""

import io
import zipfile

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def picture(mode="RGB", size=(40, 30)):
    """Return an image of random pixels; `size` is width and height."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = RNG.integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    smooth = Image.fromarray(pixels.squeeze(), mode if mode in ("L", "RGB", "RGBA", "CMYK") else None)
    return smooth if smooth.mode == mode else smooth.convert(mode)


def encoded(image, file_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def archive(path, members):
    """Write a zip of the members, bytes or images, by name; return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, encoded(content) if isinstance(content, Image.Image) else content)
    return path
