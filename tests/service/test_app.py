"""The gateway imports no numerics."""

import subprocess
import sys

HEAVY = ("torch", "onnx", "onnx_ir", "onnxruntime", "scipy", "numba", "quant.pipeline")


def test_the_gateway_imports_no_numerics():
    code = f"import sys, service.server; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
