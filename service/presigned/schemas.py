"""Parts of an upload as the API shows them."""

from pydantic import BaseModel


class PartOut(BaseModel):
    """A part of the file; PUT its bytes to `url` within some minutes, or skip it if `url` is null: it has arrived."""

    offset: int
    size: int
    url: str | None


class PartsOut(BaseModel):
    """The parts of an upload that are not counted yet."""

    items: list[PartOut]
