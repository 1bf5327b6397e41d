"""Killed processes: every accepted job reaches exactly one final state."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from jobs.redis_keys import WEBHOOKS
from tests.e2e.faults.cluster import assert_sound, until
from tests.e2e.faults.conftest import SPEC
from tests.receiver import receiving


def test_the_gateway_is_killed_while_a_job_runs(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    cluster.kill("gateway")
    os.kill(held, signal.SIGCONT)
    cluster.start("gateway")
    cluster.wait_ready()
    assert_sound(cluster, cluster.ended(job))


def test_the_worker_is_killed_while_a_job_runs(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    cluster.kill("worker1")
    until(lambda: not os.path.exists(f"/proc/{held}/cwd/model"), "the job's process to end with its worker")
    cluster.start("worker1")
    assert_sound(cluster, cluster.ended(job), attempts=2)


def test_the_record_store_is_killed_while_a_job_runs(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    cluster.kill("valkey")
    os.kill(held, signal.SIGCONT)
    until(lambda: not os.path.exists(f"/proc/{held}/cwd/model"), "the job's process to end without it")
    cluster.start("valkey")
    cluster.wait_ready()
    ended = cluster.ended(job)
    assert_sound(cluster, ended, attempts=ended["attempt"])
    assert ended["attempt"] <= 2  # the lease is short here: it may have run out


def test_every_connection_to_the_record_store_is_cut_while_a_job_runs(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    with cluster.redis() as own:
        assert own.client_kill_filter(_type="normal", skipme=True) >= 2
    os.kill(held, signal.SIGCONT)
    assert_sound(cluster, cluster.ended(job))
    assert_sound(cluster, cluster.ended(cluster.submit(model=model, spec=SPEC)))


def test_everything_is_killed_with_a_job_running_and_one_waiting(cluster, model):
    running = cluster.submit(model=model, spec=SPEC)
    cluster.hold()
    waiting = cluster.submit(model=model, spec=SPEC)
    cluster.kill(*cluster.names)
    cluster.start(*cluster.names)
    cluster.wait_ready()
    assert_sound(cluster, cluster.ended(waiting))
    assert_sound(cluster, cluster.ended(running), attempts=2)


def test_everything_is_killed_while_a_batch_runs(cluster, model):
    with receiving(200) as server:
        webhook = {"url": f"http://127.0.0.1:{server.port}/"}
        body = {"models": [model], "specs": [SPEC, {**SPEC, "seed": 9}], "webhook": webhook}
        key = {"Idempotency-Key": "batch", "Cache-Control": "no-cache"}
        batch = cluster.http.post("/v1/batches", json=body, headers=key).json()
        cluster.hold()
        cluster.kill(*cluster.names)
        cluster.start(*cluster.names)
        cluster.wait_ready()
        assert cluster.http.post("/v1/batches", json=body, headers=key).json()["id"] == batch["id"]
        while batch["status"] == "running":
            batch = cluster.http.get(batch["links"]["self"], headers={"Prefer": "wait=60"}).json()
        server.wait(1)
    assert (batch["status"], batch["statuses"]["succeeded"], len(server.got)) == ("succeeded", 2, 1)


def test_a_job_that_kills_its_worker_each_time_fails(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    for attempt in (1, 2, 3):
        until(lambda attempt=attempt: cluster.job(job)["attempt"] == attempt, f"attempt {attempt}")
        cluster.hold()
        cluster.kill("worker1")
        cluster.start("worker1")
    ended = cluster.ended(job)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "worker.crashed")
    assert "3 times" in ended["error"]["detail"]
    assert cluster.states(job)[-1:] + cluster.states(job)[:1] == ["failed", "queued"]
    assert_sound(cluster, cluster.ended(cluster.submit(model=model, spec=SPEC)))


def test_a_lost_message_is_sent_again(cluster, model):
    cluster.kill("worker1")
    job = cluster.submit(model=model, spec=SPEC)
    assert cluster.redis().delete("celery") == 1
    cluster.start("worker1")
    assert_sound(cluster, cluster.ended(job))


# Cancel


def test_a_queued_job_is_cancelled_without_workers(cluster, model):
    cluster.kill("worker1")
    job = cluster.submit(model=model, spec=SPEC)
    assert cluster.http.post(job["links"]["cancel"]).json()["status"] == "cancelled"
    cluster.start("worker1")
    assert cluster.ended(cluster.submit(model=model, spec=SPEC))["status"] == "succeeded"
    assert cluster.states(job) == ["queued", "cancelled"]


def test_a_job_of_a_dead_worker_is_cancelled_without_workers(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    cluster.hold()
    cluster.kill("worker1")
    time.sleep(2.1)  # its lease
    assert cluster.http.post(job["links"]["cancel"]).json()["status"] == "cancelled"
    assert cluster.states(job) == ["queued", "running", "cancelled"]


def test_a_job_cancelled_just_after_its_worker_was_killed_is_not_run_again(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    cluster.hold()
    cluster.kill("worker1")
    cluster.http.post(job["links"]["cancel"])
    cluster.start("worker1")
    assert cluster.ended(job)["status"] == "cancelled"
    assert cluster.states(job)[-1] == "cancelled"


# Stops in order


def test_sigterm_lets_the_running_job_end_and_keeps_the_queued_one(cluster, model):
    running = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    waiting = cluster.submit(model=model, spec=SPEC)
    live = cluster.http.get("/readyz").json()["workers"][-1]
    cluster.processes["worker1"].send_signal(signal.SIGTERM)
    time.sleep(0.5)
    os.kill(held, signal.SIGCONT)
    assert cluster.terminate("worker1") == [0]
    assert_sound(cluster, cluster.job(running))
    assert cluster.job(waiting)["status"] == "queued"
    assert live not in cluster.http.get("/readyz").json()["workers"]
    cluster.start("worker1")
    assert_sound(cluster, cluster.ended(waiting))


def test_sigterm_lets_the_gateway_finish_its_responses(cluster, examples):
    data = (examples / "digits.onnx").read_bytes()

    def slowly():
        yield data[:1000]
        cluster.processes["gateway"].send_signal(signal.SIGTERM)
        time.sleep(0.5)
        yield data[1000:]

    assert cluster.http.post("/v1/models", content=slowly()).status_code in (200, 201)
    (status,) = cluster.terminate("gateway")
    assert status in (0, -signal.SIGTERM)  # uvicorn raises the signal again after its end


def test_sigterm_ends_waits_and_streams_with_the_present_state(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    with cluster.http.stream("GET", job["links"]["events"]) as stream, ThreadPoolExecutor() as pool:
        lines = stream.iter_lines()
        while '"running"' not in next(lines):
            pass
        waiting = pool.submit(cluster.http.get, job["links"]["self"], headers={"Prefer": "wait=60"})
        time.sleep(0.3)
        cluster.terminate("gateway")
        assert [line for line in lines if line][-2:] == ["event: state", 'data: {"status": "running", "final": false}']
        assert (waiting.result().status_code, waiting.result().json()["status"]) == (200, "running")
    cluster.start("gateway")
    cluster.wait_ready()
    os.kill(held, signal.SIGCONT)
    assert_sound(cluster, cluster.ended(job))


def test_a_webhook_outlives_the_gateway(cluster, model):
    with receiving(200) as server:
        job = cluster.submit(model=model, spec=SPEC, webhook={"url": f"http://127.0.0.1:{server.port}/"})
        held = cluster.hold()
        cluster.kill("gateway")
        os.kill(held, signal.SIGCONT)
        until(lambda: cluster.redis().zscore(WEBHOOKS, job["id"]), "the end of the job")
        assert server.got == []
        cluster.start("gateway")
        ((_, _, body),) = server.wait(1)
    assert json.loads(body)["data"]["id"] == job["id"]


# Parts that are away


def test_an_unavailable_record_store_is_503_with_retry_after(cluster, model):
    cluster.kill("valkey")
    for method, path in (("GET", "/readyz"), ("GET", "/v1/jobs"), ("POST", "/v1/jobs")):
        response = cluster.http.request(method, path, json={"model": model, "spec": SPEC} if method == "POST" else None)
        assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert cluster.http.get("/livez").status_code == 200
    cluster.start("valkey")
    cluster.wait_ready()
    assert_sound(cluster, cluster.ended(cluster.submit(model=model, spec=SPEC)))


def test_a_stream_of_events_outlives_the_record_store(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    with cluster.http.stream("GET", job["links"]["events"]) as stream:
        lines = stream.iter_lines()
        assert any("running" in line for line in lines)
        cluster.kill("valkey")
        time.sleep(2)
        cluster.start("valkey")
        cluster.wait_ready()
        os.kill(held, signal.SIGCONT)
        assert [line for line in lines if line.startswith("data: ")][-1].count('"succeeded"') == 1


def test_events_resume_after_the_gateway_was_killed(cluster, model):
    job = cluster.submit(model=model, spec=SPEC)
    held = cluster.hold()
    seen = []

    def watch():
        with cluster.http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("id: "):
                    seen.append(line.removeprefix("id: "))
                    if "gateway" in cluster.processes:
                        cluster.kill("gateway")

    with pytest.raises(httpx.TransportError):
        watch()
    os.kill(held, signal.SIGCONT)
    cluster.start("gateway")
    cluster.wait_ready()
    rest = cluster.http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": seen[-1]}).text
    assert '"succeeded"' in rest
    assert not any(f"id: {known}\n" in rest for known in seen)
