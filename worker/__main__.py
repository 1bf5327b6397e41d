"""`python -m worker`: take jobs from the queue until SIGTERM, which lets the running ones end."""

import argparse
import threading

import redis
import structlog
from kombu.exceptions import OperationalError

from jobs.logs import configure_logs
from jobs.queue import TASK, make_queue, send
from jobs.settings import Settings
from worker.runner import Runner

RECONCILE_EVERY_S = 15.0

log = structlog.get_logger()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker")
    parser.add_argument("--concurrency", type=int, default=1, help="jobs at a time")
    concurrency = parser.parse_args().concurrency
    settings = Settings()
    configure_logs(settings.log_format)
    runner = Runner(settings, concurrency=concurrency)
    queue = make_queue(settings.redis_url, settings.job_timeout_s)
    queue.task(name=TASK)(runner.run)

    def reconcile() -> None:
        while not stopped.wait(RECONCILE_EVERY_S):
            try:
                for job_id in runner.requeue_stale():
                    send(queue, job_id)
            except (redis.RedisError, OperationalError) as error:
                log.warning("stale jobs could not be sent again", error=str(error))

    stopped = threading.Event()
    threading.Thread(target=reconcile, daemon=True).start()
    try:
        # Threads: each only waits for the child process that does the work.
        queue.worker_main(
            ["worker", "--pool=threads", f"--concurrency={concurrency}", "--loglevel=WARNING",
             "--without-gossip", "--without-mingle"]
        )  # fmt: skip
    finally:
        stopped.set()
        runner.close()


if __name__ == "__main__":
    main()
