"""A batch of jobs, as the blocking and the asynchronous client give it."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from quantd import operations
from quantd.answers import Document
from quantd.connection import AsyncConnection, Connection
from quantd.resource import ResourceState


class BatchState(ResourceState):
    """A batch as it was when it was last looked at."""

    @property
    def jobs(self) -> Sequence[Mapping[str, Any]]:
        """Id, status, verdict, model, spec, error and summary of each job, in the order of the request."""
        jobs: list[Document] = self._document["jobs"]
        return jobs


class Batch(BatchState):
    """A batch of a `Client`."""

    def __init__(self, connection: Connection, document: Document) -> None:
        super().__init__(document)
        self._connection = connection

    def refresh(self) -> Self:
        """Look at the batch again."""
        self._document = self._connection.run(operations.batch(self.id))
        return self

    def wait(self) -> Self:
        """Return the batch after its last job has ended, whatever came of the jobs."""
        self._document = self._connection.run(operations.wait_for_batch(self.id))
        return self

    def cancel(self) -> Self:
        """Cancel the jobs that have not ended."""
        self._document = self._connection.run(operations.cancel_batch(self.id))
        return self

    def delete(self) -> None:
        """Delete the batch, which must have ended, its jobs and their artifacts."""
        self._connection.run(operations.delete_batch(self.id))


class AsyncBatch(BatchState):
    """A batch of an `AsyncClient`; its methods are those of `Batch`, to be awaited."""

    def __init__(self, connection: AsyncConnection, document: Document) -> None:
        super().__init__(document)
        self._connection = connection

    async def refresh(self) -> Self:
        """Look at the batch again."""
        self._document = await self._connection.run(operations.batch(self.id))
        return self

    async def wait(self) -> Self:
        """Return the batch after its last job has ended, whatever came of the jobs."""
        self._document = await self._connection.run(operations.wait_for_batch(self.id))
        return self

    async def cancel(self) -> Self:
        """Cancel the jobs that have not ended."""
        self._document = await self._connection.run(operations.cancel_batch(self.id))
        return self

    async def delete(self) -> None:
        """Delete the batch, which must have ended, its jobs and their artifacts."""
        await self._connection.run(operations.delete_batch(self.id))
