"""The Python in README.md and docs/python.md runs as it is written there."""

import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = [
    (page, program)
    for page in ("README.md", "docs/python.md")
    for program in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
]


@pytest.mark.parametrize(("page", "program"), PROGRAMS)
def test_a_program_of_a_page_runs(page, program, stack, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert "http://127.0.0.1:8000" in program
    program = program.replace("http://127.0.0.1:8000", stack.url)
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    models = list(tmp_path.glob("*.onnx"))
    assert models
    for path in models:
        onnx.checker.check_model(path)
