"""The examples of pipelines: their scripts run against the service, their documents follow the published schemas."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import httpx
import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.examples.github_actions import Runner
from tests.specs import QUICK

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GITHUB = EXAMPLES / "github" / ".github"
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A checked-out repository with the example's data, where quantd is installed and pip has no index."""
    folder = tmp_path / "repository"
    shutil.copytree(EXAMPLES, folder / "examples")
    shutil.copytree(GITHUB, folder / ".github")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


@pytest.fixture
def first_build(stack):
    """Delete the jobs of the branch main that other tests left, since builds compare with the newest of them."""
    with httpx.Client(base_url=stack.url, timeout=60) as client:
        while jobs := client.get("/v1/jobs", params={"tag": "branch:main", "status": "succeeded"}).json()["items"]:
            for job in jobs:
                client.delete(job["links"]["self"]).raise_for_status()


@pytest.fixture
def bash(stack, monkeypatch):
    """Run a script that stops at its first failure, and return its result."""
    monkeypatch.setenv("QUANTD_URL", stack.url)

    def run(script, folder, **environment):
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=folder, env={**os.environ, **environment},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


def run_on_github(workspace, url, ref):
    """Run the workflow and return the runner and the state of the job's steps."""
    scratch = workspace.parent / ref.replace("/", "-")
    scratch.mkdir()
    environment = {"GITHUB_REF_NAME": ref, "GITHUB_SHA": secrets.token_hex(20), "PIP_NO_INDEX": "1"}
    runner = Runner(workspace, scratch, environment)
    workflow = workspace / ".github" / "workflows" / "quantize.yml"
    return runner, runner.run(workflow, vars={"QUANTD_URL": url}, secrets={"QUANTD_API_KEY": ""})


@pytest.mark.usefixtures("first_build")
def test_a_github_workflow_fails_where_a_pull_request_is_worse_than_main(workspace, stack):
    runner, steps = run_on_github(workspace, stack.url, "main")
    assert not steps.failed, runner.log
    outputs = steps.contexts["steps"]["quantize"]["outputs"]
    assert outputs["verdict"] == "pass"
    assert f"of {outputs['job']} is {outputs['size-ratio']} of the size" in runner.log
    assert runner.uploaded == {"quantd": {"model.onnx", "report.html", "report.md", "gates.xml", "result.json"}}
    assert re.match("### `.+`: all 2 gates passed", runner.summary)

    worse = {**QUICK, "preset": "int4-weights", "gates": {"max_size_ratio": 0.5}}
    (workspace / "examples" / "quantization.yaml").write_text(json.dumps(worse))
    runner, steps = run_on_github(workspace, stack.url, "12/merge")
    assert steps.failed
    assert steps.contexts["steps"]["quantize"]["outputs"]["verdict"] == "fail"
    assert re.findall("::error title=quantd::output_sqnr_db is .* dB worse than the baseline's", runner.log)
    assert f"### Compared with `{outputs['job']}`: 1 of 2 figures regressed" in runner.summary
    assert "exit code 2" in runner.log
    assert "of the size\n" not in runner.log, "a model that is worse is not published"
    assert "model.onnx" in runner.uploaded["quantd"]


def test_a_github_workflow_fails_without_a_service(workspace):
    runner, steps = run_on_github(workspace, "http://127.0.0.1:9", "main")
    assert steps.failed
    assert "exit code 4" in runner.log
    assert (runner.summary, runner.uploaded) == ("", {"quantd": set()})


def gitlab_job(workspace):
    """Return the job that the pipeline includes, with the inputs of the include."""
    (include,) = yaml.safe_load((EXAMPLES / "gitlab" / ".gitlab-ci.yml").read_text())["include"]
    text = (EXAMPLES / "gitlab" / include["local"]).read_text()
    declared = next(yaml.safe_load_all(text))["spec"]["inputs"]
    assert set(include["inputs"]) <= set(declared)
    inputs = {name: include["inputs"].get(name, value.get("default")) for name, value in declared.items()}
    text = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda match: inputs[match[1]], text)
    return list(yaml.safe_load_all(text))[1]["quantize"]


@pytest.mark.usefixtures("first_build")
def test_a_gitlab_pipeline_reports_its_gates(workspace, bash):
    job = gitlab_job(workspace)
    variables = {**job["variables"], "CI_COMMIT_BRANCH": "main", "CI_COMMIT_SHA": secrets.token_hex(20)}
    result = bash("\n".join([*job["before_script"], *job["script"]]), workspace, **variables)
    assert result.returncode == 0, result.stderr
    cases = ElementTree.parse(workspace / job["artifacts"]["reports"]["junit"]).iter("testcase")
    assert {"max_top1_drop_points", "min_output_sqnr_db"} <= {case.get("name") for case in cases}
    assert (workspace / job["artifacts"]["paths"][0] / "model.onnx").exists()


@needs_jq
def test_curl_alone_quantizes_and_fails_on_the_verdict(workspace, bash):
    folder = workspace / "examples"
    command = "curl/quantize.sh digits.onnx digits_calibration.npz digits_evaluation.npz quantization.yaml out.onnx"
    result = bash(command, folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "out.onnx").stat().st_size < 100_000
    assert (folder / "out.html").read_text().startswith("<!doctype html>")

    (folder / "quantization.yaml").write_text(json.dumps({**QUICK, "gates": {"min_output_sqnr_db": 90}}))
    failed = bash(command, folder)
    assert (failed.returncode, '"verdict": "fail"' in failed.stdout) == (2, True)

    (folder / "quantization.yaml").write_text("preset: int99")
    refused = bash(command, folder)
    assert (refused.returncode, "did you mean `int8`?" in refused.stderr) == (1, True)


@needs_jq
def test_a_stage_of_dvc_writes_its_outputs_and_its_metrics(workspace, bash):
    folder = workspace / "examples" / "dvc"
    stage = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]["quantize"]
    assert all((folder / name).exists() for name in stage["deps"])
    result = bash("\n".join(stage["cmd"]), folder)
    assert result.returncode == 0, result.stderr
    assert all((folder / name).exists() for name in stage["outs"])
    (metrics,) = stage["metrics"]
    assert json.loads((folder / next(iter(metrics))).read_text())["top1_quantized"] > 98


def test_a_step_of_argo_produces_its_outputs(workspace, bash, tmp_path):
    workflow = yaml.safe_load((EXAMPLES / "argo" / "quantize.yaml").read_text())["spec"]
    (template,) = workflow["templates"]
    arguments = {parameter["name"]: parameter["value"] for parameter in workflow["arguments"]["parameters"]}
    files = {artifact["name"]: Path(artifact["s3"]["key"]).name for artifact in workflow["arguments"]["artifacts"]}
    for artifact in template["inputs"]["artifacts"]:
        shutil.copy(EXAMPLES / files[artifact["name"]], tmp_path / Path(artifact["path"]).name)
    values = {entry["name"]: entry["value"] for entry in template["script"]["env"] if "value" in entry}
    environment = {
        name: re.sub(r"\{\{inputs\.parameters\.([\w-]+)\}\}", lambda match: arguments[match[1]], value)
        for name, value in values.items()
    }
    result = bash(template["script"]["source"], tmp_path, **environment)
    assert result.returncode == 0, result.stderr
    paths = [artifact["path"] for artifact in template["outputs"]["artifacts"]]
    assert all((tmp_path / Path(path).name).exists() for path in paths)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("github-actions", GITHUB / "actions" / "quantize" / "action.yml"),
        ("github-workflows", GITHUB / "workflows" / "quantize.yml"),
        ("gitlab-ci", EXAMPLES / "gitlab" / ".gitlab-ci.yml"),
        ("gitlab-ci", EXAMPLES / "gitlab" / "templates" / "quantize.yml"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_pipeline_follows_the_schema_of_its_platform(schema, path):
    published = get_builtin_schema(f"vendor.{schema}")
    validator = jsonschema.validators.validator_for(published)(published)
    for document in yaml.safe_load_all(path.read_text()):
        if True in document:
            document["on"] = document.pop(True)  # YAML 1.1 reads the key `on` as a truth value
        validator.validate(document)


def test_every_example_installs_this_version_of_the_client():
    version = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]["version"]
    files = [path for path in EXAMPLES.rglob("*") if path.suffix in {".yml", ".yaml", ".py", ".md", ".sh"}]
    named = {match for path in files for match in re.findall(r"quantd==([\d.]+)", path.read_text())}
    assert named == {version}
