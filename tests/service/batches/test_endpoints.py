"""Batches over HTTP: accepted or refused as a whole, awaited, cancelled, and deleted with their jobs."""

from tests.specs import QUICK as QUICK_SPEC
from tests.specs import UNTIMED

QUICK = {**QUICK_SPEC, **UNTIMED}

WAIT = {"Prefer": "wait=60"}


def submit(http, **body):
    response = http.post("/v1/batches", json=body)
    assert response.status_code == 202, response.text
    return response.json()


def ended(http, batch):
    while batch["status"] == "running":
        batch = http.get(batch["links"]["self"], headers=WAIT).json()
    return batch


def test_every_model_is_quantized_with_every_spec_and_preset(http, uploaded):
    gates = {"gates": {"max_size_ratio": 0.9}}
    response = http.post(
        "/v1/batches",
        json={
            "models": [uploaded["model"]], "specs": [{**QUICK, **gates}], "presets": ["int8-weights"],
            "tags": {"suite": "matrix"},
        },
        headers={"Idempotency-Key": "batch-1"},
    )  # fmt: skip
    assert response.status_code == 202, response.text
    batch = response.json()
    assert response.headers["location"] == batch["links"]["self"]
    assert (batch["status"], batch["verdict"], batch["finished_at"]) == ("running", None, None)
    batch = ended(http, batch)
    assert (batch["status"], batch["verdict"]) == ("succeeded", "pass")
    assert batch["statuses"] == {**dict.fromkeys(batch["statuses"], 0), "succeeded": 2}
    assert batch["verdicts"] == {"passed": 1, "failed": 0, "none": 1}
    assert [job["spec"] for job in batch["jobs"]] == [{**QUICK, **gates}, {"preset": "int8-weights"}]
    for row in batch["jobs"]:
        job = http.get(row["url"]).json()
        assert (job["batch"], job["tags"], job["summary"]) == (batch["id"], {"suite": "matrix"}, row["summary"])
    page = http.get("/v1/batches", params={"limit": 1}).json()
    assert page["items"] == [{name: batch[name] for name in page["items"][0]}]
    assert "jobs" not in page["items"][0]
    assert http.head(batch["links"]["self"]).status_code == 200

    again = submit(http, models=[uploaded["model"]], presets=["int8-weights"])
    assert (again["status"], again["jobs"][0]["cached"]) == ("succeeded", True)
    assert http.delete(again["links"]["self"]).status_code == 204
    assert {http.get(url).status_code for url in (again["links"]["self"], again["jobs"][0]["url"])} == {404}


def test_a_refused_batch_lists_the_faults_of_all_jobs_and_leaves_none(http, uploaded):
    def refusal(**body):
        before = http.get("/v1/jobs?limit=1").json()["items"][:1]
        response = http.post("/v1/batches", json=body)
        assert http.get("/v1/jobs?limit=1").json()["items"][:1] == before
        return response.json()["code"], [error["pointer"] for error in response.json()["errors"]]

    model = uploaded["model"]
    specs = [QUICK, {"preset": "int8-weights", "weights": {"bits": 1}}]
    assert refusal(models=[model, "model_0"], specs=specs, presets=["int9"]) == (
        "spec.invalid", ["/specs/1/weights/bits", "/presets/0", "/models/1"]
    )  # fmt: skip
    listed = [{"model": model, "spec": {"wieghts": {}}}, {"model": model, "calibration": "dataset_1"}]
    code, pointers = refusal(jobs=listed, evaluation="dataset_2")
    assert (code, pointers) == ("not_found", ["/evaluation", "/jobs/1/calibration"])
    assert refusal(jobs=listed)[1] == ["/jobs/0/spec/wieghts", "/jobs/1/calibration"]
    assert refusal(models=[model], presets=["int8"])[1] == ["/presets/0"]  # it needs data
    for body in ({}, {"models": [model], "jobs": listed}, {"models": [model] * 20, "specs": [QUICK] * 20}):
        assert refusal(**body)[0] == "request.invalid"


def test_jobs_of_a_list_have_the_fields_of_the_batch_unless_they_set_them(http, uploaded):
    job = {"model": uploaded["model"], "spec": {**QUICK, "seed": 7}}
    jobs = [job, {**job, "tags": {"suite": "own"}, "priority": -1}]
    batch = submit(http, jobs=jobs, tags={"suite": "list", "run": "1"}, priority=3)
    documents = [http.get(row["url"]).json() for row in batch["jobs"]]
    assert [document["tags"]["suite"] for document in documents] == ["list", "own"]
    assert [document["priority"] for document in documents] == [3, -1]
    assert documents[1]["tags"]["run"] == "1"
    http.post(batch["links"]["cancel"])


def test_cancelling_ends_a_batch_and_jobs_by_their_tags(http, uploaded):
    slow = {"preset": "int4-weights", "weights": {"grid": "kmeans"}}
    specs = [{**slow, "seed": seed} for seed in range(100, 106)]
    first = submit(http, models=[uploaded["model"]], specs=specs[:3], tags={"stop": "1"})
    other = submit(http, models=[uploaded["model"]], specs=specs[3:], tags={"stop": "2"})
    counts = http.post("/v1/jobs/cancel", json={"tags": ["stop:2"]}).json()
    assert counts["cancelled"] + counts["stopping"] == 3
    assert http.post("/v1/jobs/cancel", json={"tags": ["stop:2"], "status": "queued"}).json()["cancelled"] == 0
    assert http.delete(first["links"]["self"]).status_code == 409
    assert http.post(first["links"]["cancel"]).status_code == 202
    assert [ended(http, batch)["status"] for batch in (first, other)] == ["cancelled"] * 2
