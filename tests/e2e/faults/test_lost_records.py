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
    """Requests for things that exist: each answer is right and complete, or a 503 that says when to try again."""

    def __init__(self, cluster, *paths, **lists):
        self.cluster, self.paths, self.lists = cluster, paths, lists

    def right(self, url=""):
        """Return True if all answers are right, and False if one is a 503."""
        answers = [
            self._answer(url + path) for path in (*self.paths, *(f"/v1/{kind}?limit=100" for kind in self.lists))
        ]
        for kind, answer in zip(self.lists, answers[len(self.paths) :], strict=True):
            assert answer is None or {item["id"] for item in answer.json()["items"]} == self.lists[kind]
        return None not in answers

    def _answer(self, url):
        response = self.cluster.http.get(url)
        if response.status_code == 503:
            assert int(response.headers["retry-after"]) > 0
            return None
        assert response.status_code == 200, (url, response.text)
        return response


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_an_index_that_is_emptied_under_a_running_service_is_restored(tmp_path, examples):
    with Cluster(tmp_path, lease_s="2") as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        ended = cluster.ended(cluster.submit(model=model, spec=SPEC))
        until(lambda: b"succeeded" in next(tmp_path.rglob(f"{ended['id']}/record.json")).read_bytes(), "its archive")
        cluster.kill("worker1")
        waiting = cluster.submit(model=model, spec=SPEC)
        cluster.redis().flushall()
        paths = [f"/v1/models/{model}", f"/v1/jobs/{ended['id']}", f"/v1/jobs/{waiting['id']}"]
        watch = Watch(cluster, *paths, models={model}, jobs={ended["id"], waiting["id"]})
        assert (
            cluster.http.post("/v1/jobs", json={"model": model, "spec": SPEC}).status_code == 503
        )  # the first request
        until(watch.right, "the index", 10)
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
            watch = Watch(cluster, f"/v1/jobs/{jobs[0]['id']}", jobs={job["id"] for job in jobs}, models={model})
            for url in ("", f"http://127.0.0.1:{port}"):
                until(lambda url=url: connected(watch.right, url), "the index")
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
        paths = [f"/v1/jobs/{accepted['id']}", f"/v1/datasets/{dataset}"]
        until(Watch(cluster, *paths, jobs={accepted["id"]}, datasets={dataset}).right, "the index", RESTORED_WITHIN_S)
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


@pytest.mark.parametrize("end", ["succeeded", "cancelled"])
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
        else:
            ended = [cluster.http.post(known["links"]["cancel"]).json()]
        documents = [next(tmp_path.rglob(f"{job['id']}/record.json")) for job in ended]
        until(lambda: all(json.loads(path.read_bytes())["status"] == end for path in documents), "the archive", 10)
        cluster.fail_over()
        cluster.start("worker1")  # it takes the job that the replica knows as queued
        jobs = {known["id"], accepted["id"]}
        until(Watch(cluster, f"/v1/jobs/{accepted['id']}", jobs=jobs).right, "the index", RESTORED_WITHIN_S)
        if end == "cancelled":
            assert_sound(cluster, cluster.ended(accepted))
        time.sleep(1)
        assert [cluster.job(job) for job in ended] == ended
