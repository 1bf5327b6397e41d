"""Operations as sequences of steps."""

import httpx
import pytest

from quantd import operations
from quantd.steps import Send, Sleep


def record(status):
    return httpx.Response(200, json={"id": "job_1", "status": status})


def test_a_service_that_does_not_wait_is_asked_with_pauses():
    flow = operations.wait("job_1")
    assert isinstance(next(flow), Send)
    for status in ("queued", "running", "running"):
        assert flow.send(record(status)) == Sleep(operations.PAUSE_S)
        step = next(flow)
        assert (step.path, step.options["headers"]) == ("/v1/jobs/job_1", {"Prefer": "wait=30"})
    with pytest.raises(StopIteration) as end:
        flow.send(record("succeeded"))
    assert end.value.value["status"] == "succeeded"
