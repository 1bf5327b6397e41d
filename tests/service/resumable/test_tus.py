"""The metadata of a tus upload."""

import base64

import pytest

from jobs.errors import BadRequest
from service.resumable.tus import UploadMetadata, parse_metadata


def encoded(**values):
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def test_metadata_is_decoded():
    sha256 = "0a" * 32
    assert parse_metadata(encoded(kind="model", filename="../x/m.onnx", sha256=sha256)) == UploadMetadata(
        "model", "m.onnx", sha256
    )
    assert parse_metadata(encoded(kind="dataset")) == UploadMetadata("dataset", None, None)


@pytest.mark.parametrize(
    "header",
    ["kind %%%", encoded(kind="secret"), encoded(kind="model", other="x"), encoded(kind="model", sha256="x"), ""],
)
def test_invalid_metadata_is_refused(header):
    with pytest.raises(BadRequest, match="accepted"):
        parse_metadata(header)
