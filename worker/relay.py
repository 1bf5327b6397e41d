"""Relaying progress and log messages of a job's process to the job's record."""

import contextlib
import time

import redis

from jobs.records import Records
from quant.outcome.stages import Stage
from worker.protocol import Logged, ProgressLine

PROGRESS_EVERY_S = 0.2
"""Progress within a stage is recorded at most this often."""
MAX_LOG_LINES, MAX_LOG_CHARACTERS = 200, 1000
"""The number of log messages recorded for a job, and the length of each."""
MAX_PROGRESS_CHARACTERS = 1 << 18
"""The characters of all progress messages recorded for an attempt; the progress after them has no message."""


class Relay:
    """The messages of one attempt of a job.

    A message is dropped if Redis cannot be reached: the job goes on, as it does when its lease cannot be renewed.
    """

    def __init__(self, records: Records, job_id: str, owner: str) -> None:
        self._records, self._job_id, self._owner = records, job_id, owner
        self._stage: Stage | None = None
        self._recorded_at = 0.0
        self._log_lines, self._progress_characters = 0, 0

    def progress(self, line: ProgressLine) -> None:
        """Record progress, unless progress of the same stage was recorded a moment ago."""
        if line.stage == self._stage and time.monotonic() - self._recorded_at <= PROGRESS_EVERY_S:
            return
        self._stage, self._recorded_at = line.stage, time.monotonic()
        self._progress_characters += len(line.message)
        progress = line.progress
        if self._progress_characters > MAX_PROGRESS_CHARACTERS:
            progress = progress.model_copy(update={"message": ""})
        with contextlib.suppress(redis.RedisError):
            self._records.progress(self._job_id, self._owner, line.stage, progress)

    def log(self, line: Logged) -> None:
        """Record a log message; the last one that fits says that the rest is dropped."""
        self._log_lines += 1
        if self._log_lines > MAX_LOG_LINES:
            return
        last = self._log_lines == MAX_LOG_LINES
        message = "further messages are not recorded" if last else line.message[:MAX_LOG_CHARACTERS]
        with contextlib.suppress(redis.RedisError):
            self._records.log(self._job_id, self._owner, line.level, message)
