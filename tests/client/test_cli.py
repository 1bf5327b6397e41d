"""The `quantd` command against a running service: exit codes and errors of its subcommands."""

import functools
import json
import os
import shlex
import signal
import subprocess
import sys

import pytest

from tests import command

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def quantd(stack):
    return functools.partial(command.quantd, QUANTD_URL=stack.url)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["quantize", "MODEL", "-o", "o.onnx", "--preset", "int9"], "spec.invalid"),
        (["quantize", "MODEL", "-o", "o.onnx", "--preset", "int8"], "spec.data_required"),
        (["quantize", "MODEL", "-o", "o.onnx", "--gate", "fast=1"], "usage.invalid"),
        (["quantize", "MODEL", "-o", "o.onnx", "--spec", "nowhere.yaml"], "usage.invalid"),
        (["quantize", "nowhere.onnx", "-o", "o.onnx", "--preset", "int8-weights"], "usage.invalid"),
        (["quantize", "MODEL", "-o", "nowhere/o.onnx", "--preset", "int8-weights"], "usage.invalid"),
        (["quantize", "MODEL", "--preset", "int8-weights"], "usage.invalid"),
        (["quantize", "MODEL", "--nonsense"], "usage.invalid"),
        (["quantize"], "usage.invalid"),
        (["jobs", "list", "--status", "none"], "usage.invalid"),
        (["jobs", "list", "--tag", "none"], "usage.invalid"),
        (["keys", "create", "--tenant", "../x"], "usage.invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_usage_is_exit_3_before_anything_is_sent(examples, arguments, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(examples / "digits.onnx") if part == "MODEL" else part for part in arguments]
    plain = command.quantd(*arguments, QUANTD_URL=NOWHERE)
    assert (plain.returncode, plain.stdout, plain.stderr.count("\n")) == (3, "", 1)
    machine = command.quantd(*arguments, "--json", QUANTD_URL=NOWHERE)
    problem = json.loads(machine.stdout)
    assert (machine.returncode, machine.stderr) == (3, "")
    assert (problem["code"], problem["exit_code"]) == (code, 3)
    assert problem["detail"] in plain.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "show", "job_none"],
        ["jobs", "watch", "job_none"],
        ["report", "job_none"],
        ["compare", "job_a", "job_b"],
    ],
    ids=" ".join,
)
def test_a_refusal_of_the_service_is_exit_3_with_its_own_problem(quantd, arguments):
    assert quantd(*arguments).returncode == 3
    problem = json.loads(quantd(*arguments, "--json").stdout)
    assert (problem["code"], problem["status"], problem["exit_code"]) == ("not_found", 404, 3)


@pytest.mark.parametrize(
    "arguments",
    [["jobs", "list"], ["jobs", "show", "job_1"], ["report", "job_1"], ["compare", "job_a", "job_b"]],
    ids=" ".join,
)
def test_no_service_is_exit_4(arguments):
    result = command.quantd(*arguments, QUANTD_URL=NOWHERE)
    assert (result.returncode, "quantd up" in result.stderr) == (4, True)
    problem = json.loads(command.quantd(*arguments, "--json", QUANTD_URL=NOWHERE).stdout)
    assert (problem["code"], problem["exit_code"]) == ("service.unreachable", 4)


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_it_is_interrupted(tmp_path, quantd, number):
    serve = [sys.executable, "-m", "quantd", "up", "--port", "0", "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as up:
        url = up.stdout.readline().split()[4]
        assert quantd("jobs", "list", "--json", QUANTD_URL=url).stdout == "[]\n"
        up.send_signal(number)
        assert up.wait(timeout=30) == 0
    assert quantd("jobs", "list", QUANTD_URL=url).returncode == 4


@pytest.mark.parametrize("first_key", [False, True])
def test_up_makes_the_first_key_or_says_how_if_keys_are_required(tmp_path, quantd, first_key):
    state = tmp_path / "state of up"
    serve = [sys.executable, "-m", "quantd", "up", "--port", "0", "--state-dir", str(state)]
    serve += ["--first-key"] if first_key else []
    environment = {**os.environ, "QUANTD_AUTH": "required"}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as up:
        url = up.stdout.readline().split()[4]
        command = shlex.split(up.stdout.readline().partition(": ")[2])
        key = command[1].removeprefix("QUANTD_API_KEY=") if first_key else quantd(*command[1:]).stdout.strip()
        assert quantd("jobs", "list", QUANTD_URL=url, QUANTD_API_KEY=key).returncode == 0
        up.send_signal(signal.SIGTERM)
