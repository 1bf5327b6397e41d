"""Share links as callers ask for them and as the API shows them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from jobs.job import Timestamp
from jobs.shares import Share
from service.context import Context

Days = Literal[1, 7, 30]
"""The number of days for which a link may be valid."""


class ShareIn(BaseModel):
    """A share link to create."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    days: Days = 7
    """The number of days for which the link is valid."""


class ShareOut(BaseModel):
    """A link that shows the report of one job to anybody who has it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the share."""
    job: str
    """The id of the job."""
    url: str
    """The address of the report below this service's own; it needs no API key."""
    created_at: Timestamp
    """The time of its creation (RFC 3339, UTC)."""
    expires_at: Timestamp
    """The time of its end (RFC 3339, UTC), unless it is revoked or the job is deleted earlier."""


class SharePage(BaseModel):
    """The list of a job's valid share links; it always fits on one page."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[ShareOut]
    """The share links, newest first."""
    next_cursor: None = None
    """Always null."""


def share_out(context: Context, share: Share) -> ShareOut:
    """Return a share as the API shows it."""
    url = f"/share/{context.shares.token(share)}"
    return ShareOut.model_validate({**share.model_dump(), "url": url})
