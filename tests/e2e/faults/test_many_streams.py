"""More event streams than a caller may have: those who ask for one too many are told so, and jobs are accepted."""

import os
import signal
from contextlib import ExitStack

import httpx

from service.context import MOST_STREAMS
from tests.e2e.faults.cluster import assert_sound
from tests.e2e.faults.conftest import SPEC


def test_open_streams_are_limited_and_take_no_connection_each(patient, examples):
    with ExitStack() as opened:
        model = patient.upload("model", examples / "digits.onnx")
        job = patient.submit(model=model, spec=SPEC)
        held = patient.hold()
        client = opened.enter_context(httpx.Client(base_url=patient.url, timeout=30, limits=httpx.Limits()))
        streams = [opened.enter_context(client.stream("GET", job["links"]["events"])) for _ in range(MOST_STREAMS)]
        assert {stream.status_code for stream in streams} == {200}
        refused = patient.http.get(job["links"]["events"])
        assert (refused.status_code, refused.json()["code"]) == (429, "rate.limited")
        assert len(patient.redis().client_list()) < 60
        body = {"model": model, "spec": {**SPEC, "seed": 5}}
        accepted = patient.http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}, timeout=30)
        assert accepted.status_code == 202  # at once: a wait would have ended in a time-out
        os.kill(held, signal.SIGCONT)
        assert all("succeeded" in "".join(stream.iter_lines()) for stream in streams)
        for submitted in (job, accepted.json()):
            assert_sound(patient, patient.ended(submitted))
