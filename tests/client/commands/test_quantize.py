"""`quantd quantize` by a running service and without one: output, files and exit codes."""

import functools
import json
import os
import secrets
import subprocess
import sys
from xml.etree import ElementTree

import onnxruntime as ort
import pytest

from tests import command
from tests.specs import QUICK

WHERE = pytest.mark.parametrize("where", [[], ["--local"]], ids=["service", "local"])


@pytest.fixture
def quantd(stack):
    return functools.partial(command.quantd, QUANTD_URL=stack.url)


@pytest.fixture
def digits(examples):
    return [
        examples / "digits.onnx",
        "--calibration", examples / "digits_calibration.npz", "--evaluation", examples / "digits_evaluation.npz",
    ]  # fmt: skip


@pytest.fixture
def quick(digits, tmp_path):
    """The arguments of a job that takes little time."""
    spec = tmp_path / "quick.yaml"
    spec.write_text(json.dumps(QUICK))
    return ["quantize", *digits, "--spec", spec]


@WHERE
def test_every_file_is_written(quantd, quick, tmp_path, where):
    files = {name: tmp_path / name for name in ("o.onnx", "r.html", "r.md", "l.csv", "g.xml")}
    options = zip(("-o", "--report", "--markdown", "--csv", "--junit"), files.values(), strict=True)
    result = quantd(*quick, *sum(options, ()), "--gate", "max_size_ratio=0.9", *where)
    assert result.returncode == 0, result.stderr
    assert ort.InferenceSession(files["o.onnx"]).get_outputs()[0].name == "logits"
    assert files["r.html"].read_text().startswith("<!doctype html>")
    assert "max_size_ratio" in files["r.md"].read_text()
    assert len(files["l.csv"].read_text().splitlines()) == 8  # a header and seven layers
    assert ElementTree.parse(files["g.xml"]).getroot().get("tests") == "1"


@WHERE
def test_json_is_printed_for_machines(quantd, quick, tmp_path, where):
    gate = ("--gate", "min_output_sqnr_db=90")
    result = quantd(*quick, "-o", tmp_path / "o.onnx", "--report", tmp_path / "r.json", "--json", *gate, *where)
    assert (result.returncode, result.stderr) == (2, "")
    job = json.loads(result.stdout)
    assert (job["verdict"], job["summary"]["top1_float"]) == ("fail", pytest.approx(99.2))
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["summary"]["layers"], report["latency"]) == (7, job["latency"])


@WHERE
def test_a_log_has_at_most_25_lines_of_80_columns(stack, digits, tmp_path, where):
    command_line = [
        sys.executable, "-m", "quantd", "quantize", *digits, "--preset", "int4", "-o", tmp_path / "o.onnx",
        "--gate", "min_output_sqnr_db=90", "--gate", "max_size_ratio=0.3", *where,
    ]  # fmt: skip
    environment = {**os.environ, "QUANTD_URL": stack.url, "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    log = subprocess.run(
        list(map(str, command_line)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = log.stdout.splitlines()
    assert log.returncode == 2
    assert (tmp_path / "o.onnx").exists()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in log.stdout
    if not where:
        assert lines[0].split()[0] == "job"
        assert lines[1].split() == ["report", f"{stack.url}/jobs/{lines[0].split()[1]}"]
    labels = [line[:12].rstrip() for line in lines if line[:12].strip()]
    assert labels.index("gate FAIL") < labels.index("size") < labels.index("worst")
    assert lines[-1] == "FAILED      min_output_sqnr_db (exit code 2)"
    assert "/stem/stem.0/Conv" in log.stdout


@WHERE
def test_a_failed_job_is_exit_1_with_one_line(quantd, examples, tmp_path, where):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((examples / "digits.onnx").read_bytes()[:-500])
    arguments = ["quantize", cut, "--preset", "int8-weights", "-o", tmp_path / "o.onnx", *where]
    result = quantd(*arguments)
    *progress, error = result.stderr.splitlines()
    assert (result.returncode, "model.unreadable" in error) == (1, True)
    assert all(line.startswith("running ") for line in progress)
    assert not (tmp_path / "o.onnx").exists()
    problem = json.loads(quantd(*arguments, "--json").stdout)
    assert (problem["code"], problem["exit_code"]) == ("model.unreadable", 1)


@WHERE
def test_a_spec_that_only_the_job_can_refuse_is_exit_3(quantd, digits, tmp_path, where):
    spec = tmp_path / "spec.yaml"
    spec.write_text("preset: int8-weights\nbudget: {max_size_ratio: 0.001}\n")
    result = quantd("quantize", *digits, "--spec", spec, "-o", tmp_path / "o.onnx", *where)
    assert (result.returncode, "spec.budget_too_small" in result.stderr) == (3, True), result.stderr


def test_a_detached_job_prints_its_id_and_keeps_its_tags_and_its_priority(quantd, quick, http):
    result = quantd(*quick, "--detach", "--tag", "branch=main", "--tag", "url=http://x", "--priority", "-2")
    job_id = result.stdout.strip()
    assert (result.returncode, result.stderr.split()[0]) == (0, "report")
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert (job["tags"], job["priority"]) == ({"branch": "main", "url": "http://x"}, -2)
    assert json.loads(quantd(*quick, "--detach", "--json").stdout)["id"] != job_id


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--detach", "-o", "o.onnx"], "-o"),
        (["--detach", "--junit", "g.xml"], "--junit"),
        (["--detach", "--local"], "--local"),
        (["--detach", "--baseline", "job_1"], "--baseline"),
        (["--local", "-o", "o.onnx", "--tag", "a=b"], "--tag"),
        (["--local", "-o", "o.onnx", "--priority", "1"], "--priority"),
        (["--local", "-o", "o.onnx", "--webhook", "https://a"], "--webhook"),
        (["--local", "-o", "o.onnx", "--baseline", "job_1"], "--baseline"),
    ],
)
def test_options_that_contradict_each_other_are_refused(quantd, digits, options, wrong):
    result = quantd("quantize", *digits, *options)
    assert (result.returncode, f"quantd: {wrong}: needs" in result.stderr) == (3, True), result.stderr


def test_a_refused_webhook_is_exit_3(quantd, digits, tmp_path):
    result = quantd("quantize", *digits, "-o", tmp_path / "o.onnx", "--webhook", "ftp://x")
    assert result.returncode == 3
    assert "webhook" in result.stderr.lower()


def test_a_regression_is_exit_2_and_the_first_build_passes(quantd, quick, tmp_path):
    tag = f"branch={secrets.token_hex(8)}"
    against = ("--baseline", f"tag:{tag}", "--max-regression", "output_sqnr_db=0.5")
    files = {option: tmp_path / option for option in ("--junit", "--markdown", "--result")}
    arguments = [*quick, "-o", tmp_path / "o.onnx", *against, *sum(files.items(), ())]
    first = quantd(*arguments, "--tag", tag)
    assert (first.returncode, "there is nothing to compare with" in first.stdout) == (0, True)
    assert files["--markdown"].read_text().endswith("\n### No baseline yet\n")
    worse = quantd(*arguments, "--preset", "int4-weights")
    assert worse.returncode == 2
    assert "change FAIL output_sqnr_db" in worse.stdout
    assert "dB worse)" in worse.stdout
    assert worse.stdout.splitlines()[-1] == "FAILED      output_sqnr_db (exit code 2)"
    assert "output_sqnr_db" in files["--junit"].read_text()
    assert "1 of 1 figures regressed" in files["--markdown"].read_text()
    machine = quantd(*arguments, "--preset", "int4-weights", "--json")
    assert machine.returncode == 2
    assert [check["passed"] for check in json.loads(machine.stdout)["regressions"]] == [False]
    assert files["--result"].read_text() == machine.stdout.rstrip()


def test_an_unknown_baseline_is_refused_before_the_upload(quantd, digits, tmp_path):
    result = quantd("quantize", *digits, "-o", tmp_path / "o.onnx", "--baseline", "job_none")
    assert (result.returncode, result.stdout, "job_none" in result.stderr) == (3, "", True)
