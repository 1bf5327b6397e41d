"""Every command of the README runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from quant.spec import resolve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.strip().splitlines()]


@pytest.fixture
def folder(tmp_path):
    """A folder like the repository's own, for what the commands write."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("make ")])
def test_a_command_of_the_readme_runs(command, folder, stack):
    line = command.replace("http://127.0.0.1:8000", stack.url)
    environment = {**os.environ, "QUANTD_URL": stack.url}
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_a_make_command_of_the_readme_is_a_target(command):
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_demo_does_what_the_readme_says(tmp_path):
    (tmp_path / "examples").mkdir()
    for path in (ROOT / "examples").glob("d*"):
        shutil.copy(path, tmp_path / "examples")
    python = ROOT / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, tmp_path / "examples" / "demo.py"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "top-1 quantized" in done.stdout
    for preset in ("int8", "int4"):
        assert (tmp_path / "demo-output" / preset / "model.onnx").stat().st_size > 10_000


def test_the_spec_of_the_readme_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert resolve(yaml.safe_load(block)).weights.bits == 4


def test_the_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target
