"""`python -m worker`: run jobs, plans, fetches and copies until SIGTERM; running jobs and plans are finished first."""

import argparse
import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable

import redis
import structlog
from kombu.exceptions import OperationalError

from jobs.logs import configure_logs
from jobs.queue import TASK, make_queue, send
from jobs.settings import Settings
from jobs.tracing import configure_traces
from jobs.workers import Worker, Workers, worker_name
from worker.copies import Copier, run_copies
from worker.fetches import AT_A_TIME, run_fetches
from worker.forkserver import ForkServer
from worker.metrics import serve_metrics
from worker.plans import run_plans
from worker.runner import Runner

MAINTAIN_EVERY_S = 15.0
TRANSFER_ENDS_WITHIN_S = 1.0
"""A fetch or a copy that goes on for longer when the worker stops is cut, and done again by another worker."""
QUANT = "quant.job_process"
"""The module that a job's process runs."""

log = structlog.get_logger()


def main() -> None:
    """Run the worker."""
    parser = argparse.ArgumentParser(prog="python -m worker")
    parser.add_argument("--concurrency", type=int, default=1, help="jobs at a time")
    concurrency = parser.parse_args().concurrency
    settings = Settings()
    configure_logs(settings.log_format)
    configure_traces("quantd-worker", settings.otel_exporter_otlp_endpoint)
    serve_metrics(settings.worker_metrics)
    threads = max(len(os.sched_getaffinity(0)) // concurrency, 1)
    server = ForkServer(QUANT, threads)
    replaced = threading.Event()

    def replace() -> None:
        """Stop this process in order, and then start it again: nothing else ends calls that hang."""
        replaced.set()
        os.kill(os.getpid(), signal.SIGTERM)

    runner = Runner(settings, server, threads, replace)
    queue = make_queue(settings.redis_url, settings.job_timeout_s)

    def run_job(sent: str) -> None:
        """Run the job whose turn it is: a message says that a job waits, not which one is next."""
        runner.run_next("job", sent)

    queue.task(name=TASK)(run_job)

    workers, this_worker = Workers(settings.redis_url), Worker(name=worker_name(), isolation=runner.isolation)
    stopped = threading.Event()

    pause_s = min(MAINTAIN_EVERY_S, settings.lease_s / 4)
    upkeep = functools.partial(maintain, workers, this_worker, runner, functools.partial(send, queue), pause_s, stopped)
    threading.Thread(target=upkeep, daemon=True).start()
    plans = threading.Thread(target=run_plans, args=(runner, stopped), daemon=True)
    plans.start()
    transfers = start_transfers(settings, runner, functools.partial(send, queue), stopped)
    try:
        # Threads suffice: each waits for the child process that does the work.
        queue.worker_main(
            ["worker", "--pool=threads", f"--concurrency={concurrency}", "--loglevel=WARNING",
             "--without-gossip", "--without-mingle"]
        )  # fmt: skip
    finally:
        stopped.set()
        plans.join(settings.plan_timeout_s)
        for transfer in transfers:
            transfer.join(TRANSFER_ENDS_WITHIN_S)
        runner.close()
        server.close()
        with contextlib.suppress(redis.RedisError):
            workers.leave(this_worker)
    if replaced.is_set():
        log.warning("worker replaced, since too many calls hang")
        os.execv(sys.executable, sys.orig_argv)


def maintain(
    workers: Workers,
    this_worker: Worker,
    runner: Runner,
    send_job: Callable[[str], None],
    pause_s: float,
    stopped: threading.Event,
) -> None:
    """Announce this worker and send the messages of stale jobs again, each `pause_s` seconds until `stopped` is set."""
    while not stopped.is_set():
        try:
            workers.announce(this_worker)
            for job_id in runner.claim_stale():
                send_job(job_id)
        except (redis.RedisError, OperationalError) as error:
            log.warning("the record store or the queue is unavailable", error=str(error))
        stopped.wait(pause_s)


def start_transfers(
    settings: Settings, runner: Runner, send_job: Callable[[str], None], stopped: threading.Event
) -> list[threading.Thread]:
    """Start the threads that run fetches and copies until `stopped` is set, and return them.

    `send_job` sends the message that a job waits for a worker.
    """
    fetching = functools.partial(run_fetches, runner.run_next_fetch, send_job, stopped)
    copying = functools.partial(run_copies, Copier(settings), stopped)
    threads = [threading.Thread(target=target, daemon=True) for target in (*[fetching] * AT_A_TIME, copying)]
    for thread in threads:
        thread.start()
    return threads


if __name__ == "__main__":
    main()
