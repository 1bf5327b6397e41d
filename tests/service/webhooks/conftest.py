"""A service that may send webhooks to this machine."""

import time

import httpx
import pytest
import redis

from jobs.redis_keys import WEBHOOKS
from jobs.stack import ADDRESS, Stack
from service.webhooks.deliveries import SCHEDULE_S
from tests.specs import QUICK


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    """A service that may call 127.0.0.1 and hosts of example.org."""
    settings = {"QUANTD_WEBHOOK_ALLOW_HOSTS": "127.0.0.1,*.example.org"}
    with Stack(tmp_path_factory.mktemp("webhooks"), settings=settings) as running:
        yield running


@pytest.fixture(scope="package")
def http(stack):
    with httpx.Client(base_url=stack.url, timeout=70) as client:
        yield client


@pytest.fixture(scope="package")
def model(http, examples):
    return http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]


@pytest.fixture(scope="package")
def submit(http):
    """Submit a job with a webhook; returns the response."""

    def post(model, url, **webhook):
        body = {"model": model, "spec": QUICK, "webhook": {"url": url, **webhook}}
        return http.post("/v1/jobs", json=body)

    return post


@pytest.fixture(scope="package")
def due_in(stack):
    """Return the seconds until a job's next delivery, after an attempt has ended; None if there is none."""

    def look(job):
        with redis.Redis.from_url((stack.folder / ADDRESS).read_text()) as records:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                due = records.zscore(WEBHOOKS, job["id"])
                if due is None or 0 < due - time.time() <= SCHEDULE_S[1]:
                    return due and due - time.time()
                time.sleep(0.05)
        raise TimeoutError("the attempt did not end")

    return look
