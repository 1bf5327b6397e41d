"""A job over HTTP from the upload to the download: summary, artifacts, report, events, lists."""

import hashlib
import json
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tests.specs import QUICK


@pytest.fixture(scope="module")
def job(run_job, uploaded):
    return run_job(**uploaded, spec={"preset": "int4", "gates": {"max_size_ratio": 0.25}}, tags={"build": "7"})


def artifact(http, job, name):
    return http.get(f"/v1/jobs/{job['id']}/artifacts/{name}")


def test_a_job_ends_with_a_summary_and_a_verdict(job):
    assert job["status"] == "succeeded", job["error"]
    assert (job["attempt"], job["cached"], job["verdict"], job["tags"]) == (1, False, "pass", {"build": "7"})
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    summary = job["summary"]
    assert summary["size_ratio"] == summary["bytes_after"] / summary["bytes_before"] < 0.2
    assert summary["layers"] == summary["quantized_layers"] == 7
    assert summary["top1_float"] == pytest.approx(99.2)
    assert summary["top1_quantized"] > 98
    assert summary["output_sqnr_db"] > 20
    assert summary["seconds"] > 0


def test_the_model_has_the_accuracy_of_the_summary(http, job, examples):
    session = ort.InferenceSession(artifact(http, job, "model.onnx").content)
    data = np.load(examples / "digits_evaluation.npz")
    (logits,) = session.run(None, {"input": data["input"]})
    assert 100 * (logits.argmax(1) == data["labels"]).mean() == pytest.approx(job["summary"]["top1_quantized"])


def test_the_metadata_of_the_model_names_its_source(http, job, examples):
    model = onnx.load_model_from_string(artifact(http, job, "model.onnx").content)
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert props["quantd.source_sha256"] == hashlib.sha256((examples / "digits.onnx").read_bytes()).hexdigest()
    assert {"quantd.version", "quantd.spec_sha256"} < set(props)


def test_artifacts_are_listed_with_their_digests(http, job):
    items = http.get(job["links"]["artifacts"]).json()["items"]
    assert [item["name"] for item in items] == [
        "model.onnx", "report.json", "report.html", "report.md", "layers.csv", "report.sarif", "model_explorer.json",
        "gates.junit.xml", "manifest.json",
    ]  # fmt: skip
    for item in items:
        content = http.get(item["url"]).content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (item["size"], item["sha256"])


def test_the_manifest_names_every_input_and_artifact(http, job, examples):
    manifest = artifact(http, job, "manifest.json").json()
    digest = {item["name"]: item["sha256"] for item in http.get(job["links"]["artifacts"]).json()["items"]}
    assert {item["name"]: item["sha256"] for item in manifest["artifacts"]} == {
        name: sha for name, sha in digest.items() if name != "manifest.json"
    }
    assert set(manifest["inputs"]) == {"model", "calibration", "evaluation"}
    assert manifest["spec"]["weights"]["bits"] == 4


def test_the_manifest_and_readyz_list_the_isolation(http, job):
    manifest = artifact(http, job, "manifest.json").json()
    (worker,) = http.get("/readyz").json()["workers"]
    assert worker["isolation"] == manifest["isolation"]
    assert {"no_new_privileges", "resource_limits", "seccomp"} <= set(manifest["isolation"])


def test_the_report_has_figures_of_every_layer(http, job):
    report = http.get(job["links"]["report"]).json()
    assert report["summary"]["seconds"] == job["summary"]["seconds"]
    for layer in report["layers"]:
        assert layer["bits"] == 4
        assert layer["seconds"] > 0
        assert sum(layer["distribution"].values()) == layer["weight_shape"][0] == len(layer["fits"])
        assert layer["weight"]["mae"] > 0 < layer["weight"]["mae_expected"]
    assert report["samples"]["calibration"]["used"] == 256
    assert report["samples"]["evaluation"]["used"] == 500


def test_the_report_page_needs_no_network(http, job):
    page = http.get(job["links"]["report_html"])
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/classifier/Gemm" in page.text
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")  # the name of SVG, not an address


def test_gates_are_reported_as_junit(http, job):
    suite = ElementTree.fromstring(artifact(http, job, "gates.junit.xml").content)
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")


def test_a_failed_gate_fails_the_verdict_and_not_the_job(run_job, uploaded):
    job = run_job(**uploaded, spec={"preset": "int4", "gates": {"min_output_sqnr_db": 60}})
    assert (job["status"], job["verdict"]) == ("succeeded", "fail")
    (gate,) = job["gates"]
    assert gate["value"] == job["summary"]["output_sqnr_db"] < gate["limit"]


def test_equal_jobs_produce_equal_bytes(http, run_job, job, uploaded):
    again = run_job(**uploaded, spec=job["spec"])
    first, second = (http.get(j["links"]["artifacts"]).json()["items"] for j in (job, again))
    assert [item["sha256"] for item in first] == [item["sha256"] for item in second]


def test_weight_only_jobs_need_no_data(run_job, uploaded):
    job = run_job(model=uploaded["model"], spec=QUICK)
    assert job["status"] == "succeeded", job["error"]
    assert job["summary"]["output_sqnr_db"] is None


def test_one_call_uploads_and_submits(http, examples):
    files = {
        role: (f"{role}.bin", (examples / name).read_bytes())
        for role, name in (("model", "digits.onnx"), ("calibration", "digits_calibration.npz"))
    }
    response = http.post(
        "/v1/quantize",
        files=files,
        data={"spec": "preset: int8\nweights: {clipping: mse}"},
        headers={"Prefer": "wait=60"},
    )
    assert response.status_code == 202
    assert response.json()["status"] == "succeeded"
    assert response.json()["spec"]["weights"] == {"clipping": "mse"}


def test_events_cover_every_stage_and_resume_after_an_id(http, job):
    text = http.get(job["links"]["events"]).text
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    assert [json.loads(e["data"])["status"] for e in events if e["event"] == "state"] == [
        "queued",
        "running",
        "succeeded",
    ]
    stages = [json.loads(e["data"])["stage"] for e in events if e["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == [
        "loading", "normalising", "calibrating", "fitting", "correcting", "exporting", "evaluating", "storing",
    ]  # fmt: skip
    resumed = http.get(job["links"]["events"], headers={"Last-Event-ID": events[-2]["id"]}).text
    assert resumed.count("event: ") == 1
    assert events[-1]["id"] in resumed


def test_the_log_has_skipped_layers_and_warnings(http, run_job, uploaded):
    spec = {
        "preset": "int4", "bias_correction": "none", "export": {"weight_storage": "direct"},
        "layers": [{"match": "/classifier/*", "skip": True}],
    }  # fmt: skip
    job = run_job(model=uploaded["model"], calibration=uploaded["calibration"], spec=spec)
    text = http.get(job["links"]["events"]).text
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    logged = [json.loads(block["data"]) for block in blocks if block["event"] == "log"]
    report = http.get(job["links"]["report"]).json()
    (skipped,) = report["skipped"]
    assert logged[0] == {"level": "info", "message": f"{skipped['name']} (Gemm) is left as it is: {skipped['reason']}"}
    warnings = [line["message"] for line in logged if line["level"] == "warning"]
    assert warnings == report["warnings"] + report["latency"]["warnings"]
    assert report["warnings"]


def test_jobs_are_listed_newest_first_in_pages(http, job, run_job, uploaded):
    newest = run_job(model=uploaded["model"], spec=QUICK)
    seen, cursor = [], None
    while True:
        page = http.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen), reverse=True)
    assert seen[0] == newest["id"]
    assert job["id"] in seen


def test_jobs_are_filtered_by_status_and_tag(http, job):
    tagged = http.get("/v1/jobs", params={"tag": "build:7"}).json()["items"]
    assert [item["id"] for item in tagged] == [job["id"]]
    assert http.get("/v1/jobs", params={"tag": "build:7", "status": "failed"}).json()["items"] == []


def test_the_front_page_links_to_the_job_and_its_page_to_the_report(http, job):
    assert f"/jobs/{job['id']}" in http.get("/").text
    assert f"/v1/jobs/{job['id']}/report.html" in http.get(f"/jobs/{job['id']}").text


def test_a_deleted_job_leaves_nothing_behind(http, run_job, uploaded):
    job = run_job(model=uploaded["model"], spec=QUICK)
    assert http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert http.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert http.get(f"/v1/jobs/{job['id']}/artifacts/model.onnx").status_code == 404
