"""Models and datasets as the API shows them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobs.job import Job, Problem, Timestamp, Upload
from jobs.remote.locations import parse_location
from quant.data.formats import FormatName

UploadStatus = Literal["ready", "fetching", "failed"]
"""The state of an upload: stored, being fetched from its source, or not fetched."""


class UploadOut(BaseModel):
    """A stored file, or one that is fetched from its source."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id, by which jobs name the file."""
    status: UploadStatus
    """`ready`, or for a file with a source `fetching` or `failed`. A job may name a file that is being fetched."""
    sha256: str | None
    """Its SHA-256 in hexadecimal; null until it is ready."""
    size: int | None
    """Its size in bytes; null until it is ready."""
    filename: str | None
    """The name of the file; null if it had none."""
    source: str | None
    """The location that it is fetched from, without the query of a URL; null for an upload."""
    error: Problem | None
    """The reason why it was not fetched; else null."""
    created_at: Timestamp
    """The time of the upload or of the request to fetch it (RFC 3339, UTC)."""


class ModelOut(UploadOut):
    """A stored model, or one that is fetched from its source."""

    format: str | None
    """The format of the file, recognised by its first bytes; null until it is ready."""


class ArrayOut(BaseModel):
    """An array of a dataset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """The name of the array; empty for that of an .npy file."""
    dtype: str
    """The type of its values, as NumPy names it."""
    shape: list[int]
    """Its sizes."""


class DatasetOut(UploadOut):
    """A stored dataset, or one that is fetched from its source."""

    format: FormatName | None
    """The format of the file, recognised by its first bytes; null until it is ready."""
    samples: int | None
    """The number of samples; null until it is ready, and for HDF5, which only a job opens."""
    arrays: list[ArrayOut]
    """The arrays of the file; none until it is ready, and for archives of images and HDF5."""


class ModelPage(BaseModel):
    """One page of the list of models."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[ModelOut]
    """The entries of this page."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""


class DatasetPage(BaseModel):
    """One page of the list of datasets."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[DatasetOut]
    """The entries of this page."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""


def model_out(record: Upload | Job) -> ModelOut:
    """Return a model as the API shows it: an upload, or a fetch that has not succeeded."""
    return ModelOut.model_validate(_fields(record))


def dataset_out(record: Upload | Job) -> DatasetOut:
    """Return a dataset as the API shows it: an upload, or a fetch that has not succeeded."""
    return DatasetOut.model_validate(_fields(record))


def _fields(record: Upload | Job) -> dict[str, Any]:
    if isinstance(record, Upload):
        return {**record.model_dump(), "status": "ready", "error": None}
    assert record.fetch is not None
    return {
        "id": record.id, "status": "failed" if record.final else "fetching", "error": record.error,
        "filename": record.fetch.filename, "source": parse_location(record.fetch.source, "source").shown,
        "created_at": record.created_at, "sha256": None, "size": None, "format": None, "samples": None, "arrays": [],
    }  # fmt: skip
