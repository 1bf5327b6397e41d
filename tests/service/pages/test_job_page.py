"""A job's page in every state, and what its buttons do."""

import os
import re
import signal
import time

import httpx
import pytest

from jobs.stack import Stack
from tests.service.pages.jobs import HOSTILE
from tests.specs import QUICK

HTML = {"Accept": "text/html"}


def page_of(http, job):
    response = http.get(f"/jobs/{job['id']}", headers=HTML)
    assert response.status_code == 200, response.text
    return response.text


@pytest.fixture(scope="module")
def succeeded(run_job, uploaded):
    spec = QUICK | {"gates": {"max_size_ratio": 0.01, "min_output_sqnr_db": 1}}
    return run_job(**uploaded, spec=spec, tags={"page": "job"})


def test_a_succeeded_job_has_gates_summary_report_and_artifacts(http, succeeded):
    page = page_of(http, succeeded)
    for title in ("Gates", "Summary", "Report", "Artifacts", "Compare", "Share links", "The same job by command"):
        assert f">{title}</h2>" in page, title
    assert "at most 0.01" in page
    assert 'id="download"' in page
    url = f"/v1/jobs/{succeeded['id']}"
    assert f'<iframe class="report" src="{url}/report.html" sandbox="allow-scripts allow-downloads"' in page
    for artifact in http.get(f"{url}/artifacts").json()["items"]:
        assert f'href="{artifact["url"]}"' in page
        assert artifact["sha256"] in page
    assert re.findall(r'<li class="done"><span>(\w+)', page)[0] == "loading"


def test_the_newest_other_result_of_the_model_is_offered_for_a_comparison(http, succeeded, run_job, uploaded):
    other = run_job(**uploaded, spec=QUICK | {"seed": 77})
    options = re.findall(r'<option value="(job_\w+)">', page_of(http, succeeded))
    assert options[0] == other["id"]
    assert succeeded["id"] not in options


def test_a_failed_job_says_why_and_what_to_do(http, run_job, examples):
    data = (examples / "digits.onnx").read_bytes()[:-700]
    model = http.post("/v1/models", content=data, params={"filename": HOSTILE}).json()["id"]
    job = run_job(model=model, spec=QUICK, tags={HOSTILE.replace(":", ""): HOSTILE})
    page = page_of(http, job)
    assert "The file is not a readable model" in page
    assert f'href="/new?from={job["id"]}"' in page
    assert "<img src=x" not in page
    assert "<iframe" not in page


def test_a_job_of_a_deleted_model_keeps_its_name(http, run_job, examples):
    data = (examples / "digits.onnx").read_bytes()[:-800]
    model = http.post("/v1/models", content=data, params={"filename": "gone.onnx"}).json()["id"]
    job = run_job(model=model, spec=QUICK)
    assert http.delete(f"/v1/models/{model}").status_code in (200, 204)
    page = page_of(http, job)
    assert "<bdi>gone.onnx</bdi>" in page
    assert "(deleted)" in page


def test_an_open_job_is_cancelled_by_its_button_and_then_deleted_after_a_question(http, uploaded):
    slow = {"preset": "int8", "weights": {"rounding": {"name": "error_feedback", "sweeps": 100}}, "seed": 9}
    job = http.post("/v1/jobs", json=uploaded | {"spec": slow}, headers={"Cache-Control": "no-cache"}).json()
    page = page_of(http, job)
    assert "data-open" in page
    assert 'id="stage-bar"' in page
    assert "Only a job that has ended can be deleted" in http.get(f"/jobs/{job['id']}/delete").text
    assert http.post(f"/jobs/{job['id']}/delete", headers=HTML).status_code == 409
    assert http.post(f"/jobs/{job['id']}/cancel").headers["location"] == f"/jobs/{job['id']}"
    ended = http.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=60"}).json()
    assert ended["status"] in ("cancelled", "succeeded")
    assert "This cannot be undone" in http.get(f"/jobs/{job['id']}/delete").text
    assert http.post(f"/jobs/{job['id']}/delete").headers["location"] == "/"
    assert http.get(f"/jobs/{job['id']}", headers=HTML).status_code == 404


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_a_foreign_page_cancels_and_deletes_nothing(http, succeeded, action):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert http.post(f"/jobs/{succeeded['id']}/{action}", headers=headers).status_code == 421
    assert http.get(f"/jobs/{succeeded['id']}").status_code == 200


def test_the_state_of_the_webhook_is_shown(http, run_job, uploaded):
    job = run_job(model=uploaded["model"], spec=QUICK, webhook={"url": "https://quantd.invalid/T0K3N"})
    page, form = page_of(http, job), http.get("/new", params={"from": job["id"]}).text
    assert re.search(r"Webhook at <code>quantd.invalid</code>: (attempt|finished)", page)
    assert "A job from this page calls none" in form
    assert "T0K3N" not in page + form


def test_a_queued_job_has_its_place_and_says_if_no_worker_runs(tmp_path, examples):
    with Stack(tmp_path) as stack, httpx.Client(base_url=stack.url) as client:
        os.kill(stack.pid("worker"), signal.SIGTERM)
        model = client.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]
        wait_for(lambda: client.get("/readyz").json()["workers"] == [])
        jobs = [
            client.post("/v1/jobs", json={"model": model, "spec": QUICK | {"seed": seed}}).json() for seed in (1, 2)
        ]
        page = page_of(client, jobs[1])
    assert "Queued</strong>, place 2 in the queue" in page
    assert "No worker is running" in page


def wait_for(condition, within_s=30):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
