"""The gateway imports no numerics."""

import subprocess
import sys

import pytest

from service.app import _is_secret

HEAVY = ("torch", "onnx", "onnx_ir", "onnxruntime", "scipy", "numba", "quant.pipeline")


def test_the_gateway_imports_no_numerics():
    code = f"import sys, service.server; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("path", "secret"), [("/share/share_1.x", True), ("/v1/jobs/job_1/shares", False), ("/", False)]
)
def test_the_token_of_a_share_link_is_in_no_trace(path, secret):
    assert _is_secret({"type": "http", "path": path}) is secret
