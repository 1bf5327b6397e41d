"""The data file: the offsets, the bytes and the digest of the tensors in it."""

import hashlib

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from quant.export.data_file import ALIGNMENT, CHUNK, MAX_INLINE_BYTES, DataFile

RNG = np.random.default_rng(0)


def initializer(name, array):
    return ir.Value(name=name, const_value=ir.Tensor(array, name=name))


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int32, ml_dtypes.bfloat16, ml_dtypes.int4, ml_dtypes.uint4,
                                   ml_dtypes.int2])  # fmt: skip
def test_tensors_are_read_back_as_they_were(tmp_path, dtype):
    size = 2 * CHUNK + 4 * MAX_INLINE_BYTES + 1  # several chunks and an odd last code
    arrays = [RNG.integers(0, 2, size).astype(dtype), RNG.integers(0, 2, (3, size)).astype(dtype)]
    values = [initializer(f"w{number}", array) for number, array in enumerate(arrays)]
    with DataFile(tmp_path / "data") as file:
        file.move(values)
        file.move(values)  # what is there already is not written again
        digest = file.digest
    data = (tmp_path / "data").read_bytes()
    assert (digest.size, digest.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    for value, array in zip(values, arrays, strict=True):
        assert value.const_value.offset % ALIGNMENT == 0
        np.testing.assert_array_equal(value.const_value.numpy(), array)


def test_small_tensors_and_strings_stay_in_the_model(tmp_path):
    values = [initializer("small", np.zeros(MAX_INLINE_BYTES, np.int8)), ir.Value(name="nothing")]
    values.append(ir.Value(name="text", const_value=ir.StringTensor([b"x" * 4096], shape=ir.Shape([1]), name="text")))
    before = [value.const_value for value in values]
    with DataFile(tmp_path / "data") as file:
        file.move(values)
        assert file.digest.size == 0
    assert [value.const_value for value in values] == before


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "data").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        DataFile(tmp_path / "data")
