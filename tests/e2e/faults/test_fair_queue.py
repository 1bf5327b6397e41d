"""Tenants take turns: many jobs of one do not stand before the job of another, and none is lost on the way."""

from jobs.blobs import Blobs
from jobs.keys import Keys, Scope
from jobs.redis_keys import OPEN, QUEUED, TURNS
from tests.e2e.faults.cluster import Cluster, until
from tests.e2e.faults.conftest import SPEC

MANY = 200


class Tenant:
    """A tenant with a key and a model."""

    def __init__(self, cluster, name, examples):
        self._cluster = cluster
        keys = Keys(cluster.environment["QUANTD_REDIS_URL"], Blobs(cluster.environment["QUANTD_STORE_URL"]))
        _, key = keys.create(name, "", tuple(Scope))
        self._headers = {"Authorization": f"Bearer {key}", "Cache-Control": "no-cache"}
        self._model = self.request("POST", "/v1/models", content=(examples / "digits.onnx").read_bytes())["id"]

    def request(self, method, path, **options):
        return self._cluster.http.request(method, path, headers=self._headers, **options).raise_for_status().json()

    def submit(self):
        return self.request("POST", "/v1/jobs", json={"model": self._model, "spec": SPEC})

    def ended(self, job):
        """Return the job after its end."""
        until(lambda: self._cluster.states(job)[-1] not in ("queued", "running"), f"the end of {job['id']}")
        return self.request("GET", job["links"]["self"])


def times(cluster, job):
    """Return the time of each state of a job, as ids of events, which sort by the clock of the record store."""
    entries = cluster.redis().xrange(f"qd:job:{job['id']}:events")
    return {fields["data"].split('"')[3]: tuple(map(int, entry.split("-"))) for entry, fields in entries
            if fields["event"] == "state"}  # fmt: skip


def test_the_job_of_a_tenant_starts_within_three_jobs_of_another_who_submitted_hundreds(tmp_path, examples):
    with Cluster(tmp_path, auth="required") as cluster:
        many, few = Tenant(cluster, "many", examples), Tenant(cluster, "few", examples)
        before = [many.submit() for _ in range(MANY)]
        until(lambda: "running" in times(cluster, before[2]), "the jobs of the first tenant to be run")
        job = few.submit()
        until(lambda: "running" in times(cluster, job), "the job of the other tenant to start", 300)
        mine = times(cluster, job)
        started = [times(cluster, other).get("running", (0,)) for other in before]
        assert sum(mine["queued"] < start < mine["running"] for start in started) <= 3
        assert sum(start == (0,) for start in started) > MANY // 2  # most still wait: they were all before it


def test_every_job_of_every_tenant_ends_although_workers_messages_and_the_record_store_are_lost(tmp_path, examples):
    with Cluster(tmp_path, workers=2, lease_s="2", auth="required") as cluster:
        tenants = [Tenant(cluster, name, examples) for name in ("a", "b", "c")]
        jobs = [(tenant, tenant.submit()) for _ in range(3) for tenant in tenants]
        cancelled = [(tenant, tenant.submit()) for tenant in tenants]
        for tenant, job in cancelled:
            tenant.request("POST", job["links"]["cancel"])
        for name in ("worker1", "valkey", "worker2"):
            until(lambda: cluster.busy_now("worker1") or cluster.busy_now("worker2"), "a job to run")
            cluster.kill(name)
            cluster.start(name)
        cluster.wait_ready()
        cluster.redis().delete("celery")
        for tenant, job in jobs:
            ended = tenant.ended(job)
            assert (ended["status"], ended["error"]) == ("succeeded", None)
            assert cluster.states(job) == ["queued", *["running"] * ended["attempt"], "succeeded"]
        assert {tenant.ended(job)["status"] for tenant, job in cancelled} <= {"cancelled", "succeeded"}
        left = cluster.redis().keys("*waiting") + cluster.redis().keys(f"{TURNS}*")
        assert (left, cluster.redis().exists(OPEN, QUEUED)) == ([], 0)
