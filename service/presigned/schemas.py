"""Parts of an upload as the API shows them."""

from pydantic import BaseModel, ConfigDict


class PartOut(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    offset: int
    """The offset of the part in the file, in bytes."""
    size: int
    """The size of the part in bytes."""
    url: str | None
    """The presigned URL that accepts the part by PUT; null if it has arrived."""


class PartsOut(BaseModel):
    """The parts of an upload, without those that were sent by PATCH."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[PartOut]
    """The parts in the order of the file."""
