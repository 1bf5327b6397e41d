"""`python -m worker`: run jobs, plans, fetches and copies until SIGTERM; running jobs and plans are finished first."""

import argparse
import contextlib
import functools
import os
import signal
import sys
import threading

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

    def maintain() -> None:
        """Announce this worker, and send the messages of stale jobs again."""
        while not stopped.is_set():
            try:
                workers.announce(this_worker)
                for job_id in runner.claim_stale():
                    send(queue, job_id)
            except (redis.RedisError, OperationalError) as error:
                log.warning("the record store or the queue is unavailable", error=str(error))
            stopped.wait(min(MAINTAIN_EVERY_S, settings.lease_s / 4))

    threading.Thread(target=maintain, daemon=True).start()
    plans = threading.Thread(target=run_plans, args=(runner, stopped), daemon=True)
    plans.start()
    for _ in range(AT_A_TIME):
        arguments = (runner.run_next_fetch, functools.partial(send, queue), stopped)
        threading.Thread(target=run_fetches, args=arguments, daemon=True).start()
    threading.Thread(target=run_copies, args=(Copier(settings), stopped), daemon=True).start()
    try:
        # Threads suffice: each waits for the child process that does the work.
        queue.worker_main(
            ["worker", "--pool=threads", f"--concurrency={concurrency}", "--loglevel=WARNING",
             "--without-gossip", "--without-mingle"]
        )  # fmt: skip
    finally:
        stopped.set()
        plans.join(settings.plan_timeout_s)
        runner.close()
        server.close()
        with contextlib.suppress(redis.RedisError):
            workers.leave(this_worker)
    if replaced.is_set():
        log.warning("worker replaced, since too many calls hang")
        os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    main()
