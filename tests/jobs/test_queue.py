"""A message carries the id of a job and nothing else."""

import base64
import json

import redis

from jobs.queue import make_queue, send


def test_a_message_carries_the_id_alone(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        send(make_queue(valkey.url, 60), "job_1")
        message = json.loads(client.lindex("celery", 0))
    arguments, options, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, options) == (["job_1"], {})


def test_a_message_is_hidden_for_longer_than_a_job_may_run():
    options = make_queue("redis://localhost/0", 3600).conf.broker_transport_options
    assert options["visibility_timeout"] > 2 * 3600
