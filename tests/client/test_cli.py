"""The `quantd` command against a running service: output, files and exit codes."""

import functools
import json
import signal
import subprocess
import sys

import onnxruntime as ort
import pytest

from tests import command
from tests.specs import QUICK


@pytest.fixture
def quantd(stack):
    return functools.partial(command.quantd, QUANTD_URL=stack.url)


@pytest.fixture
def digits(examples):
    return [
        examples / "digits.onnx",
        "--calibration", examples / "digits_calibration.npz", "--evaluation", examples / "digits_evaluation.npz",
    ]  # fmt: skip


@pytest.mark.parametrize("where", [[], ["--local"]])
def test_quantize_writes_the_model_and_prints_the_layers(quantd, digits, tmp_path, where):
    output, report = tmp_path / "out.onnx", tmp_path / "report.html"
    result = quantd("quantize", *digits, "--preset", "int4", "-o", output, "--report", report, *where)
    assert result.returncode == 0, result.stderr
    assert "/stem/stem.0/Conv" in result.stdout
    assert "top-1       9" in result.stdout
    assert ort.InferenceSession(output).get_outputs()[0].name == "logits"
    assert report.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("where", [[], ["--local"]])
def test_json_is_printed_for_machines(quantd, digits, tmp_path, where):
    result = quantd("quantize", *digits, "-o", tmp_path / "o.onnx", "--report", tmp_path / "r.json", "--json", *where)
    assert result.returncode == 0, result.stderr
    job = json.loads(result.stdout)
    assert job["summary"]["top1_float"] == pytest.approx(99.2)
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["layers"] == 7


@pytest.mark.parametrize("where", [[], ["--local"]])
def test_a_failed_gate_is_exit_2_and_the_model_is_written(quantd, digits, tmp_path, where):
    result = quantd("quantize", *digits, "-o", tmp_path / "o.onnx", "--gate", "min_output_sqnr_db=90", *where)
    assert result.returncode == 2
    assert "min_output_sqnr_db" in result.stdout
    assert (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize("where", [[], ["--local"]])
def test_a_failed_job_is_exit_1_with_one_line(quantd, examples, tmp_path, where):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((examples / "digits.onnx").read_bytes()[:-500])
    result = quantd("quantize", cut, "--preset", "int8-weights", "-o", tmp_path / "o.onnx", *where)
    assert result.returncode == 1
    assert "model.unreadable" in result.stderr
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["quantize", "nowhere.onnx", "--preset", "int8-weights", "-o", "o.onnx"],
        ["quantize", "nowhere.onnx", "--preset", "int8-weights", "-o", "o.onnx", "--local"],
        ["quantize", "MODEL", "--preset", "int9", "-o", "o.onnx"],
        ["quantize", "MODEL", "--preset", "int9", "-o", "o.onnx", "--local"],
        ["quantize", "MODEL", "--preset", "int8", "-o", "o.onnx"],
        ["quantize", "MODEL", "--gate", "fast", "-o", "o.onnx"],
        ["quantize", "MODEL", "--spec", "nowhere.yaml", "-o", "o.onnx"],
        ["quantize", "--nonsense"],
        ["jobs", "show", "job_none"],
    ],
)
def test_bad_usage_is_exit_3_without_a_traceback(quantd, examples, arguments):
    result = quantd(*[str(examples / "digits.onnx") if part == "MODEL" else part for part in arguments])
    assert result.returncode == 3
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_no_service_is_exit_4(quantd):
    result = quantd("jobs", "list", QUANTD_URL="http://127.0.0.1:9")
    assert result.returncode == 4
    assert "quantd up" in result.stderr


BAD_URLS = ("http://[", "http://127.0.0.1:x", "ftp://127.0.0.1", "x", "http://a b/", "://", "http://\x01")
BAD_KEYS = ("qd_\n", "schlüssel", "a\x7fb", "\udcff", "qd_\r\nX-Other: 1")


@pytest.mark.parametrize(
    "environment",
    [*({"QUANTD_URL": url} for url in BAD_URLS), *({"QUANTD_API_KEY": key} for key in BAD_KEYS)],
    ids=repr,
)
@pytest.mark.parametrize("arguments", [["jobs", "list"], ["jobs", "watch", "job_1"], ["report", "job_1"]])
def test_a_malformed_address_or_key_is_exit_4_with_one_line(quantd, environment, arguments):
    result = quantd(*arguments, **environment)
    assert (result.returncode, len(result.stderr.splitlines())) == (4, 1), result.stderr


def test_a_spec_file_is_yaml(quantd, digits, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text("preset: int4\nweights: {clipping: mse}\nlayers:\n  - {match: {op: Gemm}, weights: {bits: 8}}\n")
    result = quantd("quantize", *digits, "--spec", spec, "-o", tmp_path / "o.onnx", "--json")
    assert json.loads(result.stdout)["spec"]["layers"] == [{"match": {"op": "Gemm"}, "weights": {"bits": 8}}]


def test_jobs_are_listed_shown_watched_reported_and_removed(quantd, run_job, uploaded):
    job = run_job(model=uploaded["model"], spec=QUICK)["id"]
    assert job in quantd("jobs", "list").stdout
    assert job in [item["id"] for item in json.loads(quantd("jobs", "list", "--json").stdout)]
    assert json.loads(quantd("jobs", "show", job, "--json").stdout)["status"] == "succeeded"
    assert "status      succeeded" in quantd("jobs", "show", job).stdout
    assert "weight SQNR" in quantd("jobs", "watch", job).stdout
    assert quantd("jobs", "cancel", job).stdout.strip() == "succeeded"
    assert "/stem/stem.0/Conv" in quantd("report", job).stdout
    assert quantd("jobs", "rm", job).returncode == 0
    assert quantd("jobs", "show", job).returncode == 3


def test_up_serves_until_it_is_interrupted(tmp_path, quantd):
    serve = [sys.executable, "-m", "client", "up", "--port", "0", "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as up:
        url = up.stdout.readline().split()[4]
        assert quantd("jobs", "list", "--json", QUANTD_URL=url).stdout == "[]\n"
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=30) == 0
    assert quantd("jobs", "list", QUANTD_URL=url).returncode == 4
