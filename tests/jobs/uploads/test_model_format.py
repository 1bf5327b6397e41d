"""The model's format from its first bytes."""

import io
import tarfile
import zipfile

import pytest

from jobs.errors import EmptyModel
from jobs.uploads.model_format import model_format
from quant.errors import UnsupportedFormat


def zipped(name, data=b"x"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def test_the_first_bytes_tell_the_format(examples):
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
def test_other_formats_are_refused(head):
    with pytest.raises(UnsupportedFormat, match="TorchScript"):
        model_format(head)


def test_an_empty_file_is_refused():
    with pytest.raises(EmptyModel):
        model_format(b"")
