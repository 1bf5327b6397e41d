"""The client without the packages of the service: it works with a service, and says what the other commands need."""

import json
import os
import re
import subprocess
import sys

import pytest

from quantd import server
from tests import command
from tests.specs import QUICK

ALONE = """
import importlib.metadata, sys
for name in ("quant", "jobs", "worker", "service", "numpy", "redis", "celery", "jinja2"):
    sys.modules[name] = None  # to import it raises ModuleNotFoundError
installed = importlib.metadata.distribution
def distribution(name):
    if name == "quantd-server":
        raise importlib.metadata.PackageNotFoundError(name)
    return installed(name)
importlib.metadata.distribution = distribution
from quantd.cli import main
main()
"""


def alone(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, arguments)], env={**os.environ, **environment}, capture_output=True,
        text=True,
    )  # fmt: skip


def test_a_model_is_quantized_by_a_service(stack, examples, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(QUICK))
    files = {name: tmp_path / name for name in ("o.onnx", "r.html", "g.xml")}
    options = zip(("-o", "--report", "--junit"), files.values(), strict=True)
    arguments = [
        "quantize",
        examples / "digits.onnx",
        "--spec",
        spec,
        *sum(options, ()),
        "--gate",
        "max_size_ratio=0.9",
    ]
    result = alone(*arguments, QUANTD_URL=stack.url)
    assert result.returncode == 0, result.stderr
    assert all(path.stat().st_size for path in files.values())
    assert "gate pass   max_size_ratio" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["up"], ["keys", "create"], ["keys", "list"], ["keys", "revoke", "key_1"], ["gc"], ["reindex"],
        ["inspect", "m.onnx"],
        ["plan", "m.onnx", "--local"], ["quantize", "m.onnx", "-o", "o.onnx", "--local"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_of_the_service_names_the_package_that_it_needs(arguments, monkeypatch):
    monkeypatch.setattr(server, "DISTRIBUTION", "quantd-server-that-is-not-installed")
    result = command.quantd(*arguments)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert re.search(r"accepted: pip install '?quantd-server", result.stderr)


def test_a_command_that_runs_jobs_names_the_extra_where_only_the_gateway_is_installed(monkeypatch):
    monkeypatch.setattr(server, "NUMERICS", "numerics_that_are_not_installed")
    for arguments, extra in ((["up"], "up"), (["quantize", "m.onnx", "-o", "o.onnx", "--local"], "worker")):
        result = command.quantd(*arguments)
        assert (result.returncode, f"'quantd-server[{extra}]'" in result.stderr) == (3, True), result.stderr
