"""Files of all formats hold the same arrays, and what refers to other files or code is refused."""

import json
import sys

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from quant.data.files import format_of, read_arrays
from quant.errors import InputMismatch, UnreadableDataset, UnsupportedDataset
from tests.quant.data.images.archives import archive

ARRAYS = {
    "x": np.random.default_rng(0).normal(size=(9, 4, 5)).astype(np.float32),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "ids": np.arange(9),
    "flags": np.array([True, False]),
    "pixels": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(3.0),
}


def save_hdf5(path, arrays, **options):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **(options if array.ndim and array.size else {}))


WRITERS = {
    "npz": lambda path, arrays: np.savez(path, **arrays),
    "safetensors": lambda path, arrays: save_file(arrays, path, {"made_by": "a test"}),
    "hdf5": save_hdf5,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_holds_the_same_arrays_and_maps_them(tmp_path, name):
    path = tmp_path / f"arrays.{name}"
    with path.open("wb") as file:
        WRITERS[name](path if name != "npz" else file, ARRAYS)
    arrays = read_arrays(path)
    assert format_of(path) == name
    assert arrays.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert (arrays[key].dtype, arrays[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(arrays[key], array)
    assert not arrays["x"].flags.owndata


@pytest.mark.parametrize("options", [{"compression": "gzip", "shuffle": True, "fletcher32": True}, {"dtype": ">f8"}])
def test_chunks_and_other_byte_orders_of_hdf5_are_read_as_plain_arrays(tmp_path, options):
    save_hdf5(tmp_path / "x.h5", {"x": ARRAYS["x"]}, **options)
    (array,) = read_arrays(tmp_path / "x.h5").values()
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, ARRAYS["x"])


def compound(file):
    file["x"] = np.zeros(2, [("a", "f4")])


def reference(file):
    file["x"] = np.zeros(2)
    file.create_dataset("y", data=np.array([file["x"].ref], h5py.ref_dtype), dtype=h5py.ref_dtype)


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda file: file.update({"x": h5py.ExternalLink("/etc/hostname", "/x")}), "link"),
        (lambda file: file.update({"x": h5py.SoftLink("/y")}), "link"),
        (lambda file: file.create_group("x"), "no dataset"),
        (virtual, "stored elsewhere"),
        (lambda file: file.create_dataset("x", (4,), "f4", external=[("/etc/hostname", 0, 16)]), "stored elsewhere"),
        (lambda file: file.create_dataset("x", data=np.zeros(64), compression="lzf"), "filter 32000"),
        (lambda file: file.update({"x": "a text"}), "holds object"),
        (lambda file: file.update({"x": h5py.Empty("f4")}), "holds float32"),
        (lambda file: file.create_dataset("x", (1 << 38,), "f4", chunks=(1 << 10,)), "never written"),
        (lambda file: file.create_dataset("x", (1 << 38,), "f4"), "never written"),
        (compound, "holds"),
        (reference, "holds object"),
    ],
)
def test_hdf5_that_is_no_plain_numbers_in_the_file_is_refused(tmp_path, write, message):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write(file)
    with pytest.raises(UnreadableDataset, match=rf"{message}.*accepted: datasets of plain numbers"):
        read_arrays(tmp_path / "x.h5")


def safetensors(header, values=b""):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + values


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((1 << 62).to_bytes(8, "little") + b"{}", "its header has"),
        (safetensors(b"{" * 100_000), "cannot be read"),
        (safetensors({"x": 3}), "entry of array 'x'"),
        (safetensors(entry(shape=(-2,)), bytes(8)), "entry of array 'x'"),
        (safetensors(entry("BF16"), bytes(8)), "'x' is BF16; accepted: BOOL"),
        (safetensors(entry(shape=(3,)), bytes(12)), "declares 12 bytes at 0 to 8"),
        (safetensors(entry(), bytes(4)), "declares 8 bytes at 0 to 8 of 4"),
        (safetensors(entry(shape=(2**40, 2**40), offsets=(0, 2**82)), bytes(8)), "declares"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path, content, message):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UnreadableDataset, match=message):
        read_arrays(tmp_path / "x.safetensors")


def test_an_archive_of_images_has_no_arrays(tmp_path):
    with pytest.raises(InputMismatch, match="accepted: a file of arrays"):
        read_arrays(archive(tmp_path / "images.zip", {"a.png": b""}))


def test_hdf5_without_its_library_names_the_extra(tmp_path, monkeypatch):
    save_hdf5(tmp_path / "x.h5", ARRAYS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedDataset, match=r"install quantd-server\[data\]"):
        read_arrays(tmp_path / "x.h5")
