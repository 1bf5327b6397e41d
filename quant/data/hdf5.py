"""Arrays of an HDF5 file, from the datasets at its root.

HDF5 can refer to other files and load plug-ins. A file is read only where it does neither: links to other objects or
files, virtual datasets, external storage and filters beyond gzip, shuffle and checksums are refused before any value is
read. The library has a long history of faults in its parser, so only the sandboxed process of a job opens a file.
"""

import mmap
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.errors import UnsupportedDataset

ACCEPTED = "datasets of plain numbers at the root, stored in the file itself, uncompressed or with gzip"
MOST_EXPANSION = 1100
"""The most bytes of values for each stored byte: gzip reaches 1032, and chunks that were never written any number."""
_NO_PLUGINS = "::"
"""The value of HDF5_PLUGIN_PRELOAD that makes the library load no plug-in."""


def read_hdf5(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a file by name; those stored in one piece are mapped from the file and read-only.

    Raises:
        ValueError: the file holds something else.
        UnsupportedDataset: h5py is not installed.
    """
    h5py = _h5py()
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with h5py.File(path, "r", locking=False) as opened:
        return {name: _read(h5py, opened, name, content) for name in opened}


def _h5py() -> ModuleType:
    """Return h5py, which is loaded only if an HDF5 file is opened, without its plug-ins.

    Raises:
        UnsupportedDataset: it is not installed.
    """
    os.environ["HDF5_PLUGIN_PRELOAD"] = _NO_PLUGINS
    try:
        import h5py
    except ImportError:
        raise UnsupportedDataset(
            "HDF5 needs h5py, which is not installed; accepted: .npz, .npy or .safetensors, or install "
            "quantd-server[data]"
        ) from None
    module: ModuleType = h5py
    return module


def _read(h5py: ModuleType, file: Any, name: str, content: mmap.mmap) -> NDArray[np.generic]:
    """Return the values of one dataset after checking how it is stored.

    Raises:
        ValueError: it is no dataset of plain numbers that is stored in the file.
    """
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name!r} is a link to another object or file; accepted: {ACCEPTED}")
    if not isinstance(dataset := file[name], h5py.Dataset):
        raise ValueError(f"{name!r} is no dataset; accepted: {ACCEPTED}")
    storage = dataset.id.get_create_plist()
    if storage.get_layout() == h5py.h5d.VIRTUAL or storage.get_external_count():
        raise ValueError(f"the values of {name!r} are stored elsewhere; accepted: {ACCEPTED}")
    known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    filters = {storage.get_filter(number)[0] for number in range(storage.get_nfilters())}
    if filters - known:
        raise ValueError(f"{name!r} needs the HDF5 filter {min(filters - known)}; accepted: {ACCEPTED}")
    dtype = dataset.dtype
    if dtype.kind not in "biuf" or dtype.hasobject or dtype.subdtype is not None or dataset.shape is None:
        raise ValueError(f"{name!r} holds {dtype}; accepted: {ACCEPTED}")
    if dataset.nbytes > MOST_EXPANSION * dataset.id.get_storage_size():
        raise ValueError(f"{name!r} declares {dataset.nbytes} bytes that were never written; accepted: {ACCEPTED}")
    start = dataset.id.get_offset()  # None for chunks
    if start is None or not dtype.isnative or dataset.id.get_type() != h5py.h5t.py_create(dtype, logical=True):
        return np.asarray(dataset[()], dtype.newbyteorder("="))
    return np.frombuffer(content, dtype, dataset.size, start).reshape(dataset.shape)
