"""The document of the API that a job and a batch of the client hold, as it was when it was last looked at."""

from collections.abc import Mapping
from typing import Any

from quantd.answers import Document


class ResourceState:
    """A job or a batch as it was when it was last looked at."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    @property
    def document(self) -> Mapping[str, Any]:
        """The document of the API, with every field."""
        return self._document

    @property
    def id(self) -> str:
        """The id."""
        return str(self._document["id"])

    @property
    def status(self) -> str:
        """The state: `running`, `succeeded`, `failed` or `cancelled`; a job also has `queued`."""
        return str(self._document["status"])

    @property
    def verdict(self) -> str | None:
        """The result of all gates, `pass` or `fail`; None without gates and before the end."""
        verdict: str | None = self._document["verdict"]
        return verdict
