"""Parts of an upload as the API shows them."""

from pydantic import BaseModel


class PartOut(BaseModel):
    """A part of the file: `size` bytes at `offset`, to be sent to `url` by PUT; `url` is null if they have arrived."""

    offset: int
    size: int
    url: str | None


class PartsOut(BaseModel):
    """The parts of an upload, without those that were sent by PATCH."""

    items: list[PartOut]
