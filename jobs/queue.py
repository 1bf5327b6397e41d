"""The messages that start jobs: Celery carries the id of a job that waits, and a worker takes the job whose turn it is.

The order of the jobs is in Redis beside their records (`jobs/records/lua/next_waiting.lua`): tenants take turns.
"""

from celery import Celery
from kombu.exceptions import OperationalError

TASK = "quantd.run"


def make_queue(redis_url: str, timeout_s: float) -> Celery:
    """Return a Celery application without a result backend: the result of a job is in its record.

    Measured with Celery 5.7 on Redis: if the visibility timeout is shorter than a job, the job runs twice at the same
    time, and messages can be lost. So the timeout is twice the longest job, and the messages of stale records are sent
    again.
    """
    broker = redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
    queue = Celery("quantd", broker=broker)
    queue.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_channel_error_retry=True,  # a Redis that refuses writes must not end the worker
        broker_transport_options={
            "visibility_timeout": int(2 * timeout_s) + 60,
            "unacked_mutex_expire": 30,
            "socket_timeout": 30,
        },
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5},
        task_serializer="json",
        accept_content=["json"],
    )
    return queue


def send(queue: Celery, job_id: str) -> None:
    """Queue a job whose record is stored; if it is queued already, or has ended, this changes nothing.

    If the message is lost, a worker sends it again.

    Raises:
        OperationalError: the queue is away.
    """
    try:
        queue.send_task(TASK, args=[job_id])
    except AttributeError as error:  # kombu has lost its connection to another thread while it published
        raise OperationalError("the connection to the queue was lost") from error
