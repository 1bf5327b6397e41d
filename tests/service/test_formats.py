"""Files are told by their first bytes, and a dataset's headers are read without believing them."""

import io
import random
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from jobs.errors import EmptyDataset, EmptyModel
from quant.errors import QuantdError, UnreadableDataset, UnsupportedFormat
from service.formats import check_dataset, dataset_arrays, model_format

LIMIT = 1 << 30


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(shape, descr="<f4", data=b""):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def zipped(name, data=b"x"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def arrays_of(data, limit=LIMIT):
    return dataset_arrays(io.BufferedReader(io.BytesIO(data)), len(data), limit)


def test_models_are_told_by_their_first_bytes(examples):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(examples / "digits.onnx", "m.onnx")
    files = {
        "onnx": (examples / "digits.onnx").read_bytes(),
        "torchscript": (examples / "digits.pt").read_bytes(),
        "archive": zipped("m.onnx"),
    }
    assert {kind: model_format(data[:512]) for kind, data in files.items()} == {kind: kind for kind in files}
    assert model_format(tar.getvalue()[:512]) == model_format(b"\x1f\x8b\x08") == "archive"


@pytest.mark.parametrize(
    "head", [b"hello", b"<html>", b"{}", b"\x00", b"\xff\xd8\xff", b"\x93NUMPY", b"%PDF-1.7", b"\x7fELF"]
)
def test_other_bytes_are_no_model(head):
    with pytest.raises(UnsupportedFormat, match="TorchScript"):
        model_format(head)


def test_no_bytes_are_neither():
    with pytest.raises(EmptyModel):
        model_format(b"")
    with pytest.raises(EmptyDataset):
        check_dataset(b"")
    with pytest.raises(UnreadableDataset):
        check_dataset(b"x,y\n1,2\n")


def test_headers_tell_names_dtypes_and_shapes():
    kind, arrays = arrays_of(npz(input=np.zeros((4, 3), np.float32), labels=np.zeros(4, np.int64)))
    assert (kind, arrays) == (
        "npz",
        [{"name": "input", "dtype": "float32", "shape": [4, 3]}, {"name": "labels", "dtype": "int64", "shape": [4]}],
    )
    assert arrays_of(npy((2, 3), data=bytes(24))) == ("npy", [{"name": "", "dtype": "float32", "shape": [2, 3]}])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy((2**40,)), "declares 4398046511104 bytes and has"),
        (npy((-1, 4)), "has the shape"),
        (npy((1,), "|O", bytes(8)), "Python objects"),
        (npz(**{f"a{n}": np.zeros(1) for n in range(65)}), "65 arrays"),
        (zipped("notes.txt"), "is no array"),
        (zipped("input.npy"), "accepted: .npz or .npy"),
        (zipped("input.npy", npy((2**40,))), "declares"),
        (npz(input=np.zeros((4, 4)))[:-30], "accepted: .npz or .npy"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "accepted: .npz or .npy"),
        (b"\x93NUMPY\x09\x00", "npy version"),
    ],
)
def test_what_cannot_be_believed_is_refused(data, message):
    with pytest.raises(UnreadableDataset, match=message):
        arrays_of(data)


def test_the_declared_sizes_together_stay_below_the_limit():
    with pytest.raises(UnreadableDataset, match="accepted: up to 1000"):
        arrays_of(npz(a=np.zeros(200, np.float32), b=np.zeros(200, np.float32)), limit=1000)


def test_a_directory_without_end_is_not_taken_into_memory():
    """A zip whose last record says that its list of members has 50 MB."""
    size = 50_000_000
    data = bytes(size) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, size, 0, 0)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableDataset, match="directory"):
            arrays_of(data)
        assert tracemalloc.get_traced_memory()[1] < size / 2
    finally:
        tracemalloc.stop()


def test_mutated_files_are_read_or_refused(examples):
    """Whatever zipfile, its codecs and NumPy make of broken bytes, the caller gets an answer of ours."""
    source, chance = npz(input=np.ones((8, 3), np.float32), labels=np.arange(8)), random.Random(0)
    for data in (source, npy((8, 3), data=bytes(96))):
        for _ in range(1000):
            broken = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            refused(bytes(broken[: chance.randint(1, len(broken))] if chance.random() < 0.3 else broken))


def refused(data):
    try:
        arrays_of(data)
    except QuantdError as error:
        return error
    return None
