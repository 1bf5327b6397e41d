"""The way of a submitted job to its end: shown, limited in time, and cancelled when the command is interrupted."""

from client.api import Client
from client.connection import Document
from client.console import err_console
from client.errors import ClientError, Interrupted, JobTimedOut, TimeUp
from client.progress import show_progress
from client.signals import time_limit


def follow_to_end(client: Client, job_id: str, timeout_s: float | None, *, quiet: bool) -> Document:
    """Return the job after its end.

    Args:
        client: a client of the service.
        job_id: the job.
        timeout_s: the seconds after which the job is cancelled; None for no limit.
        quiet: True to show no progress.

    Raises:
        JobTimedOut: the job did not end in time and was cancelled.
        Interrupted: SIGINT or SIGTERM came, and the job was cancelled.
    """
    try:
        with time_limit(timeout_s):
            return watch_to_end(client, job_id, quiet=quiet)
    except Interrupted as interruption:
        raise cancelled(client, job_id, interruption) from None
    except TimeUp:
        job = client.cancel(job_id)
        if job["status"] in ("succeeded", "failed"):  # at the last moment
            return job
        detail = f"job {job_id} did not end within {timeout_s:g} s (--timeout) and was cancelled"
        raise JobTimedOut(detail, {"job": job_id}) from None


def watch_to_end(client: Client, job_id: str, *, quiet: bool) -> Document:
    """Show the progress of a job, and return it after its end."""
    if not quiet:
        show_progress(err_console, client.follow(job_id))
    return client.wait(job_id)


def cancelled(client: Client, job_id: str, interruption: Interrupted) -> Interrupted:
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
