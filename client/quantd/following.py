"""A job from its submission to its end: shown, limited in time, and cancelled when the command is interrupted."""

from collections.abc import Callable

from quantd.api import Client
from quantd.commands.options import page_address
from quantd.connection import Document
from quantd.console import err_console, out_console
from quantd.errors import ClientError, Interrupted, JobTimedOut, TimeUp
from quantd.progress import show_progress
from quantd.rows import Row, print_rows
from quantd.signals import time_limit


def run_to_end(post: Callable[[], Document], client: Client, timeout_s: float | None, *, quiet: bool) -> Document:
    """Submit a job, say its id, follow it, and return it after its end.

    Args:
        post: submits the job; a second call returns the job of the first.
        client: a client of the service.
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
            print_rows(out_console, [Row("job", job["id"]), Row("report", page_address(job["id"]))])
        with time_limit(timeout_s):
            return watch_to_end(client, job["id"], quiet=quiet)
    except Interrupted as interruption:
        job = job or post()  # the request may have arrived although its answer did not
        raise _cancelled(client, job["id"], interruption) from None
    except TimeUp:
        assert job is not None
        return _out_of_time(client, job["id"], timeout_s)


def watch_to_end(client: Client, job_id: str, *, quiet: bool) -> Document:
    """Show the progress of a job, and return it after its end."""
    if not quiet:
        show_progress(err_console, client.follow(job_id))
    return client.wait(job_id)


def _out_of_time(client: Client, job_id: str, timeout_s: float | None) -> Document:
    """Cancel a job, and return it if it ended at the last moment."""
    job = client.cancel(job_id)
    if job["status"] in ("succeeded", "failed"):
        return job
    raise JobTimedOut(f"job {job_id} did not end within {timeout_s:g} s (--timeout) and was cancelled", {"job": job_id})


def _cancelled(client: Client, job_id: str, interruption: Interrupted) -> Interrupted:
    """Cancel an interrupted job, and return the interruption with a sentence on the job."""
    try:
        status = client.cancel(job_id)["status"]
        ended = status in ("succeeded", "failed")
        detail = f"job {job_id} had {status} already" if ended else f"job {job_id} was cancelled"
    except ClientError as error:
        detail = f"job {job_id} was not cancelled ({error}); `quantd jobs cancel {job_id}` cancels it"
    except Interrupted:
        detail = f"job {job_id} may still run; `quantd jobs cancel {job_id}` cancels it"
    return Interrupted(interruption.signal_number, f"interrupted: {detail}", job_id)
