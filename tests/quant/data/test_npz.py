"""Arrays are what NumPy reads, mapped or not, and a file that was changed is refused."""

from pathlib import Path

import numpy as np
import pytest

from quant.data.files import read_arrays
from quant.data.npz import release_pages
from quant.errors import UnreadableDataset

ARRAYS = {
    "x": np.random.default_rng(0).normal(size=(9, 4, 5)).astype(np.float32),
    "labels": np.arange(9),
    "turned": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "empty": np.zeros((0, 3), np.uint8),
    "scalar": np.float64(3),
    "texts": np.array(["a", "bc"]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_members_are_what_numpy_reads(tmp_path, save):
    save(tmp_path / "arrays.npz", **ARRAYS)
    arrays = read_arrays(tmp_path / "arrays.npz")
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (np.asarray(array).dtype, np.shape(array))
        np.testing.assert_array_equal(arrays[name], array)


def test_a_stored_array_is_not_copied(tmp_path):
    np.savez(tmp_path / "arrays.npz", **ARRAYS)
    arrays = read_arrays(tmp_path / "arrays.npz")
    assert not arrays["x"].flags.owndata
    assert not arrays["x"].flags.writeable


def test_an_npy_file_has_one_array_without_a_name(tmp_path):
    np.save(tmp_path / "x.npy", ARRAYS["x"])
    ((name, array),) = read_arrays(tmp_path / "x.npy").items()
    assert name == ""
    np.testing.assert_array_equal(array, ARRAYS["x"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_changed_byte_of_the_data_is_noticed(tmp_path, save):
    save(tmp_path / "arrays.npz", x=ARRAYS["x"])
    content = bytearray((tmp_path / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.npz").write_bytes(content)
    with pytest.raises(UnreadableDataset):
        read_arrays(tmp_path / "changed.npz")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.99])
def test_a_file_that_was_cut_short_is_refused(tmp_path, share):
    np.savez(tmp_path / "arrays.npz", **ARRAYS)
    content = (tmp_path / "arrays.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableDataset):
        read_arrays(tmp_path / "cut.npz")


def test_objects_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    with pytest.raises(UnreadableDataset, match="pickle"):
        read_arrays(tmp_path / "objects.npz")


def resident_kilobytes(path):
    """Return the kilobytes of the file's mapping that are in this process's memory."""
    sizes, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            counts = line.endswith(str(path))
        elif counts and line.startswith("Rss:"):
            sizes += int(line.split()[1])
    return sizes


def test_released_pages_take_no_memory_and_are_read_again(tmp_path):
    path, data = tmp_path / "arrays.npz", np.random.default_rng(0).normal(size=(500, 1000))
    np.savez(path, x=data)
    arrays = read_arrays(path)["x"]
    assert resident_kilobytes(path) < 100  # after its checksum
    np.testing.assert_array_equal(arrays, data)
    assert resident_kilobytes(path) > 3900
    release_pages(arrays[3:7])
    assert resident_kilobytes(path) < 100
    np.testing.assert_array_equal(arrays, data)
    release_pages(data)  # an array in memory stays as it is
