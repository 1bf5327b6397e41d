"""Models and datasets as the API shows them."""

from pydantic import BaseModel


class ModelOut(BaseModel):
    """A stored model."""

    id: str
    sha256: str
    size: int
    format: str
    filename: str | None
    created_at: str


class ArrayOut(BaseModel):
    """An array of a dataset."""

    name: str
    dtype: str
    shape: list[int]


class DatasetOut(BaseModel):
    """A stored dataset; `samples` is the length of the first axis."""

    id: str
    sha256: str
    size: int
    samples: int
    arrays: list[ArrayOut]
    filename: str | None
    created_at: str


class ModelPage(BaseModel):
    """One page of the list of models."""

    items: list[ModelOut]
    next_cursor: str | None


class DatasetPage(BaseModel):
    """One page of the list of datasets."""

    items: list[DatasetOut]
    next_cursor: str | None
