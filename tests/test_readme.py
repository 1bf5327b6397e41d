"""The README: its demo works, its spec is valid, its links exist; `test_page_blocks.py` runs its commands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from quant.spec import resolve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_demo_works_as_the_readme_says(tmp_path):
    (tmp_path / "examples").mkdir()
    for path in (ROOT / "examples").glob("d*.*"):
        shutil.copy(path, tmp_path / "examples")
    python = ROOT / ".venv" / "bin" / "python"
    result = subprocess.run(
        [python, tmp_path / "examples" / "demo.py"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "top-1 quantized" in result.stdout
    for preset in ("int8", "int4"):
        assert (tmp_path / "demo-output" / preset / "model.onnx").stat().st_size > 10_000


def test_the_spec_of_the_readme_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert resolve(yaml.safe_load(block)).weights.bits == 4


def test_the_links_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        file, _, heading = target.partition("#")
        assert (ROOT / file).exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", (ROOT / file).read_text(), re.M)
            assert heading in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}, target
