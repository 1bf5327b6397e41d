"""The arrays of a data set's file, whatever its format."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant.data.formats import ACCEPTED, HEAD, FormatName, recognise
from quant.data.hdf5 import read_hdf5
from quant.data.npz import read_npz
from quant.data.safetensors import read_safetensors
from quant.errors import InputMismatch, QuantdError, UnreadableDataset

Arrays = Mapping[str, NDArray[np.generic]]
READERS: Mapping[FormatName, Callable[[Path], Arrays]] = {
    "npz": read_npz,
    "npy": read_npz,
    "safetensors": read_safetensors,
    "hdf5": read_hdf5,
}
"""The reader of each format that holds arrays."""


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of the file by name; the array of an .npy file has the name "". Some are read-only.

    Raises:
        UnreadableDataset: the file has no such format, is damaged, or holds something else than plain arrays.
        InputMismatch: the file is an archive of images.
        UnsupportedDataset: the library that reads the format is not installed.
    """
    with translate_errors():
        name = format_of(path)
        if name == "images":
            raise InputMismatch("the file is an archive of images, without arrays; accepted: a file of arrays by name")
        if name is None:
            raise ValueError("it does not start like a data set")
        return READERS[name](path)


def format_of(path: Path) -> FormatName | None:
    """Return the format of a file by its first bytes; None if it is no data set."""
    with path.open("rb") as file:
        return recognise(file.read(HEAD))


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn any exception of the readers and their libraries into UnreadableDataset.

    Lack of memory is not the file's fault and passes through.
    """
    try:
        yield
    except (QuantdError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes make the libraries raise many types
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        accepted = "" if "accepted: " in reason else f"; accepted: {ACCEPTED}; no pickled objects"
        raise UnreadableDataset(f"the dataset cannot be read ({reason}){accepted}") from None
