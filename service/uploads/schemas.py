"""Models and datasets as the API shows them."""

from pydantic import BaseModel, ConfigDict

from jobs.job import Timestamp


class ModelOut(BaseModel):
    """A stored model."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the model."""
    sha256: str
    """Its SHA-256 in hexadecimal."""
    size: int
    """Its size in bytes."""
    format: str
    """The format of the file, recognised by its first bytes."""
    filename: str | None
    """The name of the uploaded file; null if it had none."""
    created_at: Timestamp
    """The time of the upload (RFC 3339, UTC)."""


class ArrayOut(BaseModel):
    """An array of a dataset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """The name of the array; empty for that of an .npy file."""
    dtype: str
    """The type of its values, as NumPy names it."""
    shape: list[int]
    """Its sizes."""


class DatasetOut(BaseModel):
    """A stored dataset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the dataset."""
    sha256: str
    """Its SHA-256 in hexadecimal."""
    size: int
    """Its size in bytes."""
    samples: int
    """The length of the first axis."""
    arrays: list[ArrayOut]
    """The arrays of the file."""
    filename: str | None
    """The name of the uploaded file; null if it had none."""
    created_at: Timestamp
    """The time of the upload (RFC 3339, UTC)."""


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
