"""The headers of a dataset's arrays, valid and hostile."""

import io
import random
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from jobs.errors import EmptyDataset
from jobs.uploads.dataset_headers import check_dataset, count_samples, describe_dataset
from quant.errors import QuantdError, UnreadableDataset

LIMIT = 1 << 30


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(shape, descr="<f4", data=b""):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def zipped(*names, data=b"x"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


def described(data, limit=LIMIT):
    return describe_dataset(io.BufferedReader(io.BytesIO(data)), len(data), limit)


def test_an_empty_file_and_another_format_are_refused():
    with pytest.raises(EmptyDataset):
        check_dataset(b"")
    with pytest.raises(UnreadableDataset):
        check_dataset(b"x,y\n1,2\n")


def test_headers_give_names_dtypes_and_shapes():
    arrays = {"input": np.zeros((4, 3), np.float32), "labels": np.zeros(4, np.int64)}
    headers = (
        {"name": "input", "dtype": "float32", "shape": [4, 3]}, {"name": "labels", "dtype": "int64", "shape": [4]},
    )  # fmt: skip
    assert described(npz(**arrays)) == {"format": "npz", "samples": 4, "arrays": headers}
    stored = described(save(arrays))
    assert {**stored, "arrays": tuple(sorted(stored["arrays"], key=str))} == {
        "format": "safetensors", "samples": 4, "arrays": headers,
    }  # fmt: skip
    assert described(npy((2, 3), data=bytes(24))) == {
        "format": "npy", "samples": 2, "arrays": ({"name": "", "dtype": "float32", "shape": [2, 3]},),
    }  # fmt: skip


def test_the_images_of_an_archive_are_counted():
    assert described(zipped("labels.csv", "b/1.jpg", "a/1.png")) == {"format": "images", "samples": 2, "arrays": ()}


def test_hdf5_is_not_parsed():
    assert described(b"\x89HDF\r\n\x1a\n???") == {"format": "hdf5", "samples": None, "arrays": ()}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy((2**40,)), "declares 4398046511104 bytes and has"),
        (npy((-1, 4)), "has the shape"),
        (npy((1,), "|O", bytes(8)), "Python objects"),
        (npz(**{f"a{n}": np.zeros(1) for n in range(513)}), "513 arrays"),
        (npy((), data=bytes(4)), "no array has a sample axis"),
        (zipped("input.npy", "notes.txt", data=npy((0,))), "'notes.txt' is not an array"),
        (zipped("notes.txt"), "'notes.txt' is no image; accepted: .jpg"),
        (zipped("input.npy"), "accepted: .npz, .npy"),
        (zipped("input.npy", data=npy((2**40,))), "declares"),
        (npz(input=np.zeros((4, 4)))[:-30], "accepted: .npz, .npy"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "accepted: .npz, .npy"),
        (save({"x": np.zeros(4)})[:-1], "array 'x' declares 32 bytes at 0 to 32 of 31"),
        (save({f"a{n}": np.zeros(1) for n in range(513)}), "513 arrays"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "its header has 1099511627776 bytes"),
        (b"\x93NUMPY\x09\x00", "npy version"),
    ],
)
def test_an_invalid_header_is_refused(data, message):
    with pytest.raises(UnreadableDataset, match=message):
        described(data)


def test_the_sum_of_the_declared_sizes_is_limited():
    with pytest.raises(UnreadableDataset, match="accepted: up to 1000"):
        described(npz(a=np.zeros(200, np.float32), b=np.zeros(200, np.float32)), limit=1000)
    with pytest.raises(UnreadableDataset, match="declares 2000 bytes; accepted: up to 1000"):
        described(zipped("1.png", "2.png", data=bytes(1000)), limit=1000)


@pytest.mark.parametrize("name", ["input.npy", "1.png"])
def test_a_huge_directory_is_not_read_into_memory(name):
    """The zip's last record declares a list of members of 50 MB."""
    size = 50_000_000
    start = zipped(name)[:100].ljust(100, b"\0")
    data = start + bytes(size) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, size, 0, 0)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableDataset, match="directory"):
            described(data)
        assert tracemalloc.get_traced_memory()[1] < size / 2
    finally:
        tracemalloc.stop()


def test_a_name_that_no_record_can_hold_is_refused():
    header = b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    assert "surrogate" in refused(len(header).to_bytes(8, "little") + header + bytes(4)).detail


def test_no_more_of_a_header_is_read_than_it_may_have():
    """A megabyte of compressed zeros is a gigabyte."""
    bomb = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + bytes(1 << 24)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bomb)
    for data in (bomb, buffer.getvalue()):
        tracemalloc.start()
        try:
            refused(data)
            assert tracemalloc.get_traced_memory()[1] < len(bomb) / 8
        finally:
            tracemalloc.stop()


def test_mutated_files_are_read_or_refused(examples):
    """Broken bytes make zipfile, its codecs and NumPy raise anything; the caller always gets a QuantdError."""
    source, chance = npz(input=np.ones((8, 3), np.float32), labels=np.arange(8)), random.Random(0)
    others = (npy((8, 3), data=bytes(96)), save({"input": np.ones((8, 3))}), zipped("a/1.png", "labels.csv"))
    for data in (source, *others):
        for _ in range(500):
            broken = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            refused(bytes(broken[: chance.randint(1, len(broken))] if chance.random() < 0.3 else broken))


def refused(data):
    try:
        described(data)
    except QuantdError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("shapes", "samples"),
    [
        ({"x": (4, 3), "labels": (4,)}, 4),
        ({"labels": (3,), "x.0": (2, 5), "x.1": (2, 7), "x.2": (2, 5)}, 3),
        ({"input.1": (6, 2), "input.2": (6, 2)}, 6),
        ({"mean": (3,), "images": (5, 8, 8)}, 5),
        ({"rate": ()}, None),
    ],
)
def test_samples_are_counted_along_the_first_axis_or_by_their_arrays(shapes, samples):
    assert count_samples([{"name": name, "shape": list(shape)} for name, shape in shapes.items()]) == samples
