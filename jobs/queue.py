"""The queue: Celery carries the id of a job and nothing else, by the task's name."""

from celery import Celery

TASK = "quantd.run"


def make_queue(redis_url: str, timeout_s: float) -> Celery:
    """A Celery application without a result backend: what became of a job is in its record.

    Measured (Celery 5.7 on Redis): a visibility time-out below the job's length runs it again beside itself, and a
    message can be lost; so the time-out is twice the longest job, and stale records are sent again.
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
    """Announce a job; call it after the record is stored. A message that is lost is sent again by a worker."""
    queue.send_task(TASK, args=[job_id])
