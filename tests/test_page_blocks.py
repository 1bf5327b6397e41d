"""The commands and programs of README.md and of the pages in docs/ run as they are written there.

The blocks of a page run in their order, in one folder with the examples, and the example model and its data as
`model.onnx`, `calibration.npz` and `evaluation.npz`, against a running service, which has the model as `$MODEL`. The
title of a block is

- `exit status N`, if its last command ends so;
- the name of a file, if the block is its content; a YAML file with a `preset` is a valid spec;
- the path of a file of the project, if the block is a part of it;
- `not run in tests: REASON`, if it needs what no test has; its syntax and the options of `quantd` are checked.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
import typer
import yaml

from quant.spec import resolve
from quantd.cli import app
from tests.fences import fences_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {page: fences_of(page) for page in PAGES}
REASONS = {
    "needs Docker", "needs a cluster", "needs an account", "needs a bucket", "installs packages", "runs until Ctrl-C",
    "changes this machine",
}  # fmt: skip
PROGRAMS = {"sh": "bash", "python": "python"}
PRELUDE = f"""set -eu
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
pip() {{ echo "this would install into the environment of the tests" >&2; return 1; }}
make() {{ command make --dry-run --directory={ROOT} "$@" > /dev/null; }}
"""


def is_part_of_a_file(fence):
    return "/" in fence.title and (ROOT / fence.title).is_file()


def runs(fence):
    return fence.language in PROGRAMS and fence.reason is None and not is_part_of_a_file(fence)


def script_of(fences):
    """Return a shell script that runs the blocks of a page and writes its files."""
    steps = [PRELUDE]
    for number, fence in enumerate(fences):
        end, text = f"END_OF_BLOCK_{number}", fence.text
        if runs(fence):
            status = re.fullmatch(r"exit status (\d+)", fence.title)
            if fence.language == "python":
                text = f"cat > program_{number}.py <<'{end}'\n{text}{end}\npython program_{number}.py\n"
            steps.append(f"status=0\n(\n{text}) || status=$?\n[ $status = {status[1]} ]\n" if status else text)
        elif re.fullmatch(r"[\w.-]+\.\w+", fence.title):
            steps.append(f"cat > {fence.title} <<'{end}'\n{text}{end}\n")
    return "".join(steps)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(map(runs, BLOCKS[page]))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_blocks_of_a_page_run(page, stack, uploaded, tmp_path):
    for name in (".venv", "client"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")  # a block may write over the files
    for name, example in {"model.onnx": "digits.onnx", "calibration.npz": "digits_calibration.npz",
                          "evaluation.npz": "digits_evaluation.npz"}.items():  # fmt: skip
        shutil.copy(ROOT / "examples" / example, tmp_path / name)
    environment = {
        **os.environ, "QUANTD_URL": stack.url, "QUANTD_API_KEY": "none", "MODEL": uploaded["model"], "TERM": "dumb",
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
    }  # fmt: skip
    script = script_of(BLOCKS[page]).replace("http://127.0.0.1:8000", stack.url)
    run = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    for model in tmp_path.glob("*.onnx"):
        onnx.checker.check_model(model)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_that_do_not_run_are_marked_and_right(page):
    for fence in BLOCKS[page]:
        place = f"{page.name}:{fence.line}"
        if is_part_of_a_file(fence):
            assert fence.text in (ROOT / fence.title).read_text(), place
        elif fence.reason is not None:
            assert fence.reason in REASONS, place
            assert subprocess.run(["bash", "-n"], input=fence.text, text=True).returncode == 0, place
            for line in fence.text.replace("\\\n", " ").splitlines():
                check_options(shlex.split(line, comments=True), place)
        elif fence.language == "yaml" and "preset" in (content := yaml.safe_load(fence.text)):
            resolve(content)
        elif not runs(fence):
            assert fence.language not in ("bash", "console", "shell"), f"{place}: a command is in a block `sh`"
            assert not re.search(r"^\$ ", fence.text, re.M), f"{place}: a command is in a block `sh`"


def check_options(words, place):
    """Raise if the words are a command of quantd with an option that it does not have."""
    if not words or words[0] not in ("quantd", ".venv/bin/quantd"):
        return
    command = typer.main.get_command(app)
    for word in words[1:]:
        if hasattr(command, "commands"):
            assert word in command.commands, f"{place}: quantd has no {word}"
            command = command.commands[word]
        elif word.startswith("-"):
            options = {option for parameter in command.params for option in parameter.opts}
            assert word.partition("=")[0] in options, f"{place}: {word}"
