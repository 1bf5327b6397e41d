"""A job, as the blocking and the asynchronous client give it."""

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Self

from quantd import operations
from quantd.answers import Document
from quantd.artifacts import MODEL
from quantd.connection import AsyncConnection, Connection
from quantd.errors import ClientError, Unreachable
from quantd.events import Event, EventFeed
from quantd.models import Artifact, Gate, Problem, Report, Summary
from quantd.resource import ResourceState

Watcher = Callable[[Event], object]
"""Called with each event of a job."""


class JobState(ResourceState):
    """A job as it was when it was last looked at."""

    @property
    def has_ended(self) -> bool:
        """True if the state is final."""
        return self.status in operations.FINAL

    @property
    def gates(self) -> list[Gate]:
        """The checked gates."""
        return [Gate.of(gate) for gate in self._document["gates"]]

    @property
    def summary(self) -> Summary | None:
        """The most important figures of a job that has succeeded; else None."""
        summary = self._document["summary"]
        return Summary.of(summary) if summary else None

    @property
    def error(self) -> Problem | None:
        """The reason of a failed job; else None."""
        error = self._document["error"]
        return Problem.of(error) if error else None

    def require_success(self) -> Self:
        """Return the job itself if it has succeeded.

        Raises:
            JobFailed: it failed or was cancelled.
            ClientError: it failed because of its spec, or has not ended.
        """
        if not self.has_ended:
            raise ClientError(f"job {self.id} is {self.status}; accepted: a job that has ended")
        operations.require_success(self._document)
        return self


class Job(JobState):
    """A job of a `Client`."""

    def __init__(self, connection: Connection, document: Document) -> None:
        super().__init__(document)
        self._connection = connection

    def refresh(self) -> Self:
        """Look at the job again."""
        self._document = self._connection.run(operations.job(self.id))
        return self

    def events(self) -> Iterator[Event]:
        """Yield the events of the job up to its end.

        A connection that breaks is opened again. If that fails, too, the events end early: `wait` needs none.
        """
        feed = EventFeed(self.id)
        while feed.is_open:
            try:
                for line in self._connection.lines(feed.path, feed.headers):
                    if (event := feed.read(line)) is not None:
                        yield event
                pause = feed.interrupted()
            except Unreachable as error:
                pause = feed.interrupted(error)
            self._connection.run(pause)

    def wait(self, on_event: Watcher | None = None, *, check: bool = True) -> Self:
        """Return the job after its end.

        With `on_event`, the events of the job are followed. Without it, and where no events arrive, requests wait for
        the end: the service answers them as soon as the job ends.

        Args:
            on_event: called with each event, such as the progress of a stage.
            check: False to return a job that failed, too.

        Raises:
            JobFailed: the job failed or was cancelled.
            ClientError: it failed because of its spec.
            Unreachable: the service did not answer for half a minute.
        """
        if on_event is not None:
            for event in self.events():
                on_event(event)
        self._document = self._connection.run(operations.wait(self.id))
        return self.require_success() if check else self

    def wait_for_copy(self) -> Self:
        """Return the ended job after the first attempt to copy its artifacts to its destination, if it has one."""
        self._document = self._connection.run(operations.wait_for_copy(self.id))
        return self

    def cancel(self) -> Self:
        """Cancel the job; one that has ended does not change."""
        self._document = self._connection.run(operations.cancel(self.id))
        return self

    def delete(self) -> None:
        """Delete the job, which must have ended, and its artifacts."""
        self._connection.run(operations.delete(self.id))

    def report(self) -> Report:
        """Return the report."""
        return Report.of(self._connection.run(operations.get(f"/v1/jobs/{self.id}/report", ("layers",))))

    def artifacts(self) -> list[Artifact]:
        """Return the files that the job produced."""
        return [Artifact.of(item) for item in self._connection.run(operations.artifacts(self.id))]

    def download(self, path: str | os.PathLike[str], artifact: str = MODEL) -> None:
        """Write an artifact to a file, after its digest was compared; the file is unchanged unless that succeeds.

        Raises:
            ClientError: the job has no such artifact, other bytes arrived, or the file cannot be written.
        """
        self._connection.run(operations.download(self.id, artifact, Path(path)))

    def read(self, artifact: str) -> bytes:
        """Return the bytes of a small artifact; `report.html` is the page with the latency of this job."""
        return self._connection.run(operations.content(_address(self.id, artifact)))


class AsyncJob(JobState):
    """A job of an `AsyncClient`; its methods are those of `Job`, to be awaited."""

    def __init__(self, connection: AsyncConnection, document: Document) -> None:
        super().__init__(document)
        self._connection = connection

    async def refresh(self) -> Self:
        """Look at the job again."""
        self._document = await self._connection.run(operations.job(self.id))
        return self

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the events of the job up to its end, as `Job.events` does."""
        feed = EventFeed(self.id)
        while feed.is_open:
            try:
                async with aclosing(self._connection.lines(feed.path, feed.headers)) as lines:
                    async for line in lines:
                        if (event := feed.read(line)) is not None:
                            yield event
                pause = feed.interrupted()
            except Unreachable as error:
                pause = feed.interrupted(error)
            await self._connection.run(pause)

    async def wait(self, on_event: Watcher | None = None, *, check: bool = True) -> Self:
        """Return the job after its end, with the arguments and the errors of `Job.wait`."""
        if on_event is not None:
            async for event in self.events():
                on_event(event)
        self._document = await self._connection.run(operations.wait(self.id))
        return self.require_success() if check else self

    async def wait_for_copy(self) -> Self:
        """Return the ended job after the first attempt at its copy, as `Job.wait_for_copy` does."""
        self._document = await self._connection.run(operations.wait_for_copy(self.id))
        return self

    async def cancel(self) -> Self:
        """Cancel the job; one that has ended does not change."""
        self._document = await self._connection.run(operations.cancel(self.id))
        return self

    async def delete(self) -> None:
        """Delete the job, which must have ended, and its artifacts."""
        await self._connection.run(operations.delete(self.id))

    async def report(self) -> Report:
        """Return the report."""
        return Report.of(await self._connection.run(operations.get(f"/v1/jobs/{self.id}/report", ("layers",))))

    async def artifacts(self) -> list[Artifact]:
        """Return the files that the job produced."""
        return [Artifact.of(item) for item in await self._connection.run(operations.artifacts(self.id))]

    async def download(self, path: str | os.PathLike[str], artifact: str = MODEL) -> None:
        """Write an artifact to a file, with the checks and the errors of `Job.download`."""
        await self._connection.run(operations.download(self.id, artifact, Path(path)))

    async def read(self, artifact: str) -> bytes:
        """Return the bytes of a small artifact, as `Job.read` does."""
        return await self._connection.run(operations.content(_address(self.id, artifact)))


def _address(job_id: str, artifact: str) -> str:
    """Return the path of an artifact; the page has one of its own, where it is complete."""
    job = f"/v1/jobs/{job_id}"
    return f"{job}/report.html" if artifact == "report.html" else f"{job}/artifacts/{artifact}"
