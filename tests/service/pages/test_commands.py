"""The commands make the same job in a real shell, whatever the names hold."""

import json
import subprocess

import pytest
import yaml

from jobs.job import Upload, Webhook
from service.pages.commands import curl_command, quantd_command
from tests.service.pages.jobs import HOSTILE, a_job

URL = "http://127.0.0.1:8000"
SPEC = {"preset": "int4", "gates": {"min_output_sqnr_db": 20}, "layers": [{"match": "a\nEOF\nb'$(x)", "skip": True}]}
RECORDER = """#!/usr/bin/env python3
import json, os, sys
json.dump({"words": sys.argv[1:], "input": sys.stdin.read(), "url": os.environ.get("QUANTD_URL")}, open("call", "w"))
"""


@pytest.fixture
def shell(tmp_path):
    """Run lines in sh, with a `quantd` and a `curl` that record how they were called."""
    for name in ("quantd", "curl"):
        (tmp_path / name).write_text(RECORDER)
        (tmp_path / name).chmod(0o755)

    def run(lines):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "QUANTD_API_KEY": "qd_secret"}
        subprocess.run(["sh", "-eu", "-c", lines], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, check=True)
        return json.loads((tmp_path / "call").read_text())

    run.folder = tmp_path
    return run


def upload(filename):
    return Upload(
        id="x", tenant="default", key="", sha256="", size=1, filename=filename, created_at="", format="onnx"
    )  # fmt: skip


def job(**fields):
    return a_job(
        model_name=HOSTILE, calibration="dataset_1", spec=SPEC, tags={HOSTILE.replace(":", ""): HOSTILE}, **fields
    )


def test_quantd_is_called_with_the_files_the_spec_and_the_tags(shell):
    files = {"model": upload(HOSTILE), "calibration": upload("--output.npz")}
    call = shell(quantd_command(job(), files, URL, False))
    words = call["words"]
    assert words[:2] == ["quantize", HOSTILE]
    assert words[2:4] == ["--calibration", "./--output.npz"]
    assert words[words.index("--tag") + 1] == f"{HOSTILE}={HOSTILE}"
    assert not words[words.index("-o") + 1].startswith("-")
    assert yaml.safe_load((shell.folder / words[words.index("--spec") + 1]).read_text()) == SPEC
    assert call["url"] == URL


def test_curl_sends_the_same_job(shell):
    call = shell(curl_command(job(), URL, True))
    assert f"{URL}/v1/jobs" in call["words"]
    assert "Authorization: Bearer qd_secret" in call["words"]
    assert json.loads(call["input"]) == {
        "model": "model_1", "calibration": "dataset_1", "spec": SPEC, "tags": {HOSTILE: HOSTILE},
    }  # fmt: skip


def test_a_job_of_deleted_files_names_their_ids(shell):
    words = shell(quantd_command(a_job(calibration="dataset_1"), {}, URL, False))["words"]
    assert words[:4] == ["quantize", "model_1", "--calibration", "dataset_1"]


def test_a_text_that_holds_the_end_of_its_document_stays_whole(shell):
    shell(quantd_command(a_job(spec={"EOF": None, "layers": "\nEOF\nEOF_\n"}), {}, URL, False))
    assert yaml.safe_load((shell.folder / "spec.yaml").read_text()) == {"EOF": None, "layers": "\nEOF\nEOF_\n"}


def test_the_address_of_a_webhook_is_not_told():
    secret = a_job(webhook=Webhook(url="https://example.org/T0K3N"))
    assert "T0K3N" not in curl_command(secret, URL, True) + quantd_command(secret, {}, URL, True)
