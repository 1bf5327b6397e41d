"""The slot for plans: one thread of each worker runs plans, so that no plan waits behind jobs that take an hour."""

import threading

import redis
import structlog

from worker.runner import Runner

WAIT_S = 1.0
"""The longest wait for a new plan; then the thread looks for plans of lost workers, and whether the worker stops."""

log = structlog.get_logger()


def run_plans(runner: Runner, stopped: threading.Event) -> None:
    """Run one waiting plan after the other until the worker stops."""
    while not stopped.is_set():
        try:
            runner.run_next("plan", runner.new_plan(WAIT_S))
        except redis.RedisError as error:
            log.warning("the record store is unavailable", error=str(error))
            stopped.wait(WAIT_S)
        except Exception:  # the thread must outlive a failed plan, as those of jobs do
            log.exception("plan failed")
