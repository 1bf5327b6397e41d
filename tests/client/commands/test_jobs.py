"""`quantd jobs` and `quantd report` against a running service."""

import functools
import json
import secrets

import pytest

from tests import command
from tests.specs import QUICK


@pytest.fixture
def quantd(stack):
    return functools.partial(command.quantd, QUANTD_URL=stack.url)


@pytest.fixture
def job(run_job, uploaded):
    """A job with a tag of its own and a gate that fails."""
    tags = {"only": secrets.token_hex(8)}
    return run_job(model=uploaded["model"], spec={**QUICK, "gates": {"max_size_ratio": 0.01}}, tags=tags)


def ids(result):
    assert result.returncode == 0, result.stderr
    return [line.split()[0] for line in result.stdout.splitlines()[1:]]


def test_jobs_are_listed_by_tag_status_verdict_and_name(quantd, job):
    tag = ("--tag", f"only={job['tags']['only']}")
    assert ids(quantd("jobs", "list", *tag)) == [job["id"]]
    assert ids(quantd("jobs", "list", *tag, "--status", "succeeded", "--verdict", "fail")) == [job["id"]]
    assert ids(quantd("jobs", "list", *tag, "--verdict", "pass")) == []
    assert ids(quantd("jobs", "list", *tag, "--status", "failed")) == []
    assert ids(quantd("jobs", "list", *tag, "--name", "no such name")) == []
    assert [item["id"] for item in json.loads(quantd("jobs", "list", *tag, "--json").stdout)] == [job["id"]]


def test_a_job_is_shown_to_people_and_to_machines(quantd, job, stack):
    lines = quantd("jobs", "show", job["id"]).stdout.splitlines()
    assert lines[:2] == [f"job         {job['id']}", f"report      {stack.url}/jobs/{job['id']}"]
    assert any(line.startswith("status      succeeded") for line in lines)
    assert any(line.startswith("gate FAIL   max_size_ratio") for line in lines)
    assert json.loads(quantd("jobs", "show", job["id"], "--json").stdout) == job


def test_a_failed_job_is_shown_with_its_error(quantd, run_job, http, examples):
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-500]).json()
    failed = run_job(model=cut["id"], spec=QUICK)
    assert "error       model.unreadable: " in quantd("jobs", "show", failed["id"]).stdout
    assert quantd("jobs", "watch", failed["id"]).returncode == 1


def test_a_watched_job_ends_with_its_result_and_exit_code(quantd, job):
    watched = quantd("jobs", "watch", job["id"])
    assert (watched.returncode, "weight SQNR" in watched.stdout) == (2, True)
    assert json.loads(quantd("jobs", "watch", job["id"], "--json").stdout)["verdict"] == "fail"


def test_a_job_is_downloaded_and_removed(quantd, job, tmp_path, http):
    assert quantd("jobs", "download", job["id"], "-o", tmp_path / "m.onnx").returncode == 0
    artifacts = f"/v1/jobs/{job['id']}/artifacts"
    assert (tmp_path / "m.onnx").read_bytes() == http.get(f"{artifacts}/model.onnx", follow_redirects=True).content
    assert quantd("jobs", "download", job["id"], "manifest.json", "-o", tmp_path / "m.json").returncode == 0
    assert json.loads((tmp_path / "m.json").read_text())["artifacts"]
    assert quantd("jobs", "cancel", job["id"]).stdout.strip() == "succeeded"
    assert quantd("jobs", "rm", job["id"]).returncode == 0
    assert quantd("jobs", "show", job["id"]).returncode == 3


def test_a_report_is_printed_in_full_or_written(quantd, job, tmp_path):
    printed = quantd("report", job["id"]).stdout
    assert "/stem/stem.0/Conv" in printed
    assert "/classifier/Gemm" in printed
    assert json.loads(quantd("report", job["id"], "--json").stdout)["summary"]["layers"] == 7
    assert "max_size_ratio" in quantd("report", job["id"], "--markdown").stdout
    for name, start in (("r.html", "<!doctype html>"), ("r.json", "{"), ("r.csv", '"name",'), ("r.xml", "<?xml")):
        assert quantd("report", job["id"], "-o", tmp_path / name).returncode == 0
        assert (tmp_path / name).read_text().startswith(start)
    assert quantd("report", job["id"], "-o", tmp_path / "nowhere" / "r.html").returncode == 3
