"""Records that Redis lost come back from the object store by themselves, and meanwhile no answer is wrong."""

import json
import os
import shutil
import socket
import time

import httpx
import pytest
import redis

from jobs.process import start, stop
from tests.e2e.faults.cluster import Cluster, assert_sound, until
from tests.e2e.faults.conftest import SPEC

RESTORED_WITHIN_S = 60


class Watch:
    """Requests for things that exist: each answer is right, or a 503 that says when to try again."""

    def __init__(self, cluster):
        self.cluster = cluster

    def right(self, path, url=""):
        """Return True if the answer is right, and False if it is a 503."""
        response = self.cluster.http.get(url + path)
        if response.status_code == 503:
            assert int(response.headers["retry-after"]) > 0
            return False
        assert response.status_code == 200, (path, response.text)
        return True

    def all_right(self, *paths):
        return {self.right(path) for path in paths} == {True}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def ids(response):
    return {item["id"] for item in response.json()["items"]}


def assert_listed_or_unavailable(cluster, expected):
    """Return True if the lists are complete, and False if one is a 503."""
    for kind, names in expected.items():
        response = cluster.http.get(f"/v1/{kind}")
        if response.status_code == 503:
            return False
        assert ids(response) == names
    return True


def test_an_index_that_is_emptied_under_a_running_service_is_restored(tmp_path, examples):
    with Cluster(tmp_path, lease_s="2") as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        ended = cluster.ended(cluster.submit(model=model, spec=SPEC))
        until(lambda: b"succeeded" in next(tmp_path.rglob(f"{ended['id']}/record.json")).read_bytes(), "its archive")
        cluster.kill("worker1")
        waiting = cluster.submit(model=model, spec=SPEC)
        cluster.redis().flushall()
        watch = Watch(cluster)
        paths = [f"/v1/models/{model}", f"/v1/jobs/{ended['id']}", f"/v1/jobs/{waiting['id']}"]
        assert not watch.all_right(*paths)  # from the first request on
        assert cluster.http.post("/v1/jobs", json={"model": model, "spec": SPEC}).status_code == 503
        lists = {"models": {model}, "jobs": {ended["id"], waiting["id"]}}
        until(lambda: watch.all_right(*paths) and assert_listed_or_unavailable(cluster, lists), "the index", 10)
        cluster.wait_ready()
        assert cluster.job(ended) == ended
        cluster.start("worker1")
        assert_sound(cluster, cluster.ended(waiting))
        assert 'quantd_records_restored_total{kind="job"} 2.0' in cluster.http.get("/metrics").text


def test_gateways_that_start_together_restore_an_empty_index_once(tmp_path, examples):
    port = free_port()
    with Cluster(tmp_path, lease_s="2") as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        cluster.kill("worker1")
        jobs = [cluster.submit(model=model, spec={**SPEC, "seed": seed}) for seed in range(20)]
        for number, content in enumerate((b'{"timings": NaN}', b'{"id": "job_', b"[]")):
            folder = tmp_path / "store" / "default" / "jobs" / f"job_{number}"
            folder.mkdir(parents=True)
            (folder / "record.json").write_bytes(content)
        cluster.kill("gateway", "valkey")
        shutil.rmtree(tmp_path / "appendonlydir")
        second = [*cluster._commands["gateway"][:-1], str(port)]
        cluster.start("valkey", "gateway")
        other = start(second, tmp_path / "gateway2.log", cluster.environment)
        try:
            watch = Watch(cluster)
            for url in ("", f"http://127.0.0.1:{port}"):
                until(lambda url=url: connected(watch.right, f"/v1/jobs/{jobs[0]['id']}", url), "an answer")
                assert ids(cluster.http.get(f"{url}/v1/jobs?limit=100")) == {job["id"] for job in jobs}
            metrics = [cluster.http.get(f"{url}/metrics").text for url in ("", f"http://127.0.0.1:{port}")]
        finally:
            stop(other)
        assert sum(counter(text, 'quantd_records_restored_total{kind="job"}') for text in metrics) == len(jobs)
        assert sum(counter(text, "quantd_documents_unreadable_total") for text in metrics) == 3
        assert (tmp_path / "store" / "default" / "jobs" / "job_0" / "record.json").exists()
        cluster.wait_ready()
        cluster.start("worker1")
        assert_sound(cluster, cluster.ended(jobs[0]))


def connected(call, *arguments):
    try:
        return call(*arguments)
    except httpx.TransportError:
        return False


def counter(metrics, name):
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name + " "))


def test_a_lost_end_of_the_append_only_file_loses_no_accepted_job(tmp_path, examples):
    with Cluster(tmp_path, lease_s="2") as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        cluster.kill("worker1")
        shutil.copytree(tmp_path / "appendonlydir", tmp_path / "copy")
        key = {"Idempotency-Key": "once"}
        accepted = cluster.http.post("/v1/jobs", json={"model": model, "spec": SPEC}, headers=key).json()
        dataset = cluster.upload("dataset", examples / "digits_evaluation.npz")
        cluster.kill("valkey")
        shutil.rmtree(tmp_path / "appendonlydir")
        (tmp_path / "copy").rename(tmp_path / "appendonlydir")
        cluster.start("valkey")
        watch, paths = Watch(cluster), [f"/v1/jobs/{accepted['id']}", f"/v1/datasets/{dataset}"]
        until(lambda: watch.all_right(*paths), "answers", 20)
        until(lambda: ids(cluster.http.get("/v1/jobs")) == {accepted["id"]}, "the list", RESTORED_WITHIN_S)
        again = cluster.http.post("/v1/jobs", json={"model": model, "spec": SPEC}, headers=key).json()
        assert again["id"] == accepted["id"]
        cluster.start("worker1")
        assert_sound(cluster, cluster.ended(accepted))


class Pair(Cluster):
    """A service whose record store has a replica."""

    def __init__(self, folder, **settings):
        super().__init__(folder, **settings)
        main, replica = free_port(), free_port()
        command = self._commands["valkey"]
        self._port = main
        command[command.index("--port") + 1] = str(main)
        (folder / "replica").mkdir()
        self._commands = {
            "valkey": command,
            "replica": [
                command[0], "--port", str(replica), "--unixsocket", f"{self._sockets}/replica.sock",
                "--dir", str(folder / "replica"), "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                "--replicaof", f"127.0.0.1 {main}",
            ],
            **{name: words for name, words in self._commands.items() if name != "valkey"},
        }  # fmt: skip

    def wait_synced(self):
        """Wait until the replica knows what the master knows."""
        until(lambda: self.redis().execute_command("WAIT", "1", "100") == 1, "the replica")

    def part(self):
        """End the replication: from here on the replica lags behind."""
        with redis.Redis(unix_socket_path=f"{self._sockets}/replica.sock") as replica:
            replica.execute_command("REPLICAOF", "NO", "ONE")

    def fail_over(self):
        """Kill the master, and put the replica in its place."""
        self.kill("valkey")
        os.rename(f"{self._sockets}/replica.sock", f"{self._sockets}/valkey.sock")


@pytest.mark.parametrize("end", ["waits", "succeeded", "cancelled"])
def test_a_fail_over_to_a_replica_that_lags_loses_no_accepted_job_and_no_end(tmp_path, examples, end):
    with Pair(tmp_path, lease_s="2") as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        cluster.kill("worker1")
        known = cluster.submit(model=model, spec=SPEC)  # the replica knows it as queued
        cluster.wait_synced()
        cluster.part()
        accepted = cluster.submit(model=model, spec=SPEC)
        if end == "succeeded":
            cluster.start("worker1")
            ended = [cluster.ended(known), cluster.ended(accepted)]
            cluster.kill("worker1")
        if end == "cancelled":
            ended = [cluster.http.post(job["links"]["cancel"]).json() for job in (known, accepted)]
        if end != "waits":
            documents = [next(tmp_path.rglob(f"{job['id']}/record.json")) for job in (known, accepted)]
            until(lambda: all(json.loads(path.read_bytes())["status"] == end for path in documents), "the archive", 10)
        cluster.fail_over()
        if end == "succeeded":
            cluster.start("worker1")  # it takes the job that the replica knows as queued
        watch = Watch(cluster)
        until(lambda: watch.right(f"/v1/jobs/{accepted['id']}"), "an answer", 20)
        began = time.monotonic()
        until(lambda: ids(cluster.http.get("/v1/jobs")) == {known["id"], accepted["id"]}, "the list")
        if end == "waits":
            cluster.start("worker1")
            for job in (known, accepted):
                assert_sound(cluster, cluster.ended(job))
            return
        for job in ended:
            until(lambda job=job: cluster.job(job) == job, "the end that it had", RESTORED_WITHIN_S)
        assert time.monotonic() - began < RESTORED_WITHIN_S
        time.sleep(2)
        assert [cluster.job(job) for job in ended] == ended
