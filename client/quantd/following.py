"""A job from its submission to its end: shown, limited in time, and cancelled when the command is interrupted."""

from collections.abc import Callable

from quantd.commands.options import page_address
from quantd.console import err_console, out_console
from quantd.errors import ClientError, Interrupted, JobTimedOut, TimeUp
from quantd.job import Job
from quantd.progress import show_progress
from quantd.rows import Row, print_rows
from quantd.signals import time_limit


def run_to_end(post: Callable[[], Job], timeout_s: float | None, *, quiet: bool) -> Job:
    """Submit a job, say its id, follow it, and return it after its end.

    Args:
        post: submits the job; a second call returns the job of the first.
        timeout_s: the seconds after which the job is cancelled; None for no limit.
        quiet: True to show neither the id nor the progress.

    Raises:
        JobTimedOut: the job did not end in time and was cancelled.
        Interrupted: SIGINT or SIGTERM came, and the job was cancelled.
    """
    job = None
    try:
        job = post()
        if not quiet:
            print_rows(out_console, [Row("job", job.id), Row("report", page_address(job.id))])
        with time_limit(timeout_s):
            return watch_to_end(job, quiet=quiet)
    except Interrupted as interruption:
        job = job or post()  # the request may have arrived although its answer did not
        raise _cancelled(job, interruption) from None
    except TimeUp:
        assert job is not None
        return _out_of_time(job, timeout_s)


def watch_to_end(job: Job, *, quiet: bool) -> Job:
    """Show the progress of a job, and return it after its end."""
    if not quiet:
        show_progress(err_console, job.events())
    return job.wait(check=False)


def _out_of_time(job: Job, timeout_s: float | None) -> Job:
    """Cancel a job, and return it if it ended at the last moment."""
    if job.cancel().status in ("succeeded", "failed"):
        return job
    detail = f"job {job.id} did not end within {timeout_s:g} s (--timeout) and was cancelled"
    raise JobTimedOut(detail, {"job": job.id})


def _cancelled(job: Job, interruption: Interrupted) -> Interrupted:
    """Cancel an interrupted job, and return the interruption with a sentence on the job."""
    try:
        status = job.cancel().status
        ended = status in ("succeeded", "failed")
        detail = f"job {job.id} had {status} already" if ended else f"job {job.id} was cancelled"
    except ClientError as error:
        detail = f"job {job.id} was not cancelled ({error}); `quantd jobs cancel {job.id}` cancels it"
    except Interrupted:
        detail = f"job {job.id} may still run; `quantd jobs cancel {job.id}` cancels it"
    return Interrupted(interruption.signal_number, f"interrupted: {detail}", job.id)
