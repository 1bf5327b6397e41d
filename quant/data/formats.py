"""The formats of data sets, recognised by their first bytes."""

from dataclasses import dataclass
from typing import Literal

FormatName = Literal["npz", "npy", "safetensors", "hdf5", "images"]
HEAD = 512
"""The number of bytes at the start of a file from which its format is recognised."""
ZIP_MAGIC = b"PK\x03\x04"
NPY_MAGIC = b"\x93NUMPY"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_NAME = 30
"""The place of a member's name in its local header."""


@dataclass(frozen=True)
class DatasetFormat:
    """A format of data sets, for people who choose one.

    Attributes:
        name: the name in the record of a data set.
        suffixes: the usual ends of a file's name; only its bytes decide.
        description: the contents of such a file.
    """

    name: FormatName
    suffixes: tuple[str, ...]
    description: str


FORMATS = (
    DatasetFormat("npz", (".npz",), "Arrays of NumPy by name, compressed or not."),
    DatasetFormat("npy", (".npy",), "One array of NumPy, for a model of one input."),
    DatasetFormat("safetensors", (".safetensors",), "Arrays by name."),
    DatasetFormat("hdf5", (".h5", ".hdf5"), "Arrays by name at the root of the file, compressed with gzip or not."),
    DatasetFormat("images", (".zip",), "A zip of JPEG, PNG, BMP or WebP, prepared as `images` in the spec says."),
)
ACCEPTED = ".npz, .npy, .safetensors, .h5 or a .zip of images"


def recognise(head: bytes) -> FormatName | None:
    """Return the format of a file that starts with these `HEAD` bytes; None if it is no data set.

    A zip is an .npz file if its first member is an array, and an archive of images otherwise.
    """
    if head.startswith(ZIP_MAGIC):
        length = int.from_bytes(head[_ZIP_NAME - 4 : _ZIP_NAME - 2], "little")
        return "npz" if head[_ZIP_NAME : _ZIP_NAME + length].endswith(b".npy") else "images"
    if head.startswith(NPY_MAGIC):
        return "npy"
    if head.startswith(HDF5_MAGIC):
        return "hdf5"
    return "safetensors" if head[8:9] == b"{" else None
