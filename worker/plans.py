"""The slot for plans: one thread of each worker runs plans, so that no plan waits behind jobs that take an hour."""

import threading

import redis
import structlog

from worker.runner import Runner

WAIT_S = 1.0
"""The longest wait for a plan before the thread looks whether the worker stops."""

log = structlog.get_logger()


def run_plans(runner: Runner, stopped: threading.Event) -> None:
    """Run one queued plan after the other until the worker stops.

    A plan that is lost on the way, because its worker is killed, is sent to the queue of jobs as a stale job.
    """
    while not stopped.is_set():
        try:
            plan_id = runner.next_plan(WAIT_S)
            if plan_id is not None:
                runner.run(plan_id)
        except redis.RedisError as error:
            log.warning("the record store is unavailable", error=str(error))
            stopped.wait(WAIT_S)
        except Exception:  # the thread must outlive a failed plan, as those of jobs do
            log.exception("plan failed")
