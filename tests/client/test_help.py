"""Help texts: complete, and fast because they import nothing that they do not need."""

import json
import re
import subprocess
import sys

import pytest

from quant.spec import PRESETS
from quantd.commands.options import PRESET_NAMES
from tests.command import quantd

HEAVY = {"httpx", "numpy", "pydantic", "redis", "rich", "scipy", "yaml", "onnx", "celery", "quant", "jobs"}
LIST_MODULES = """
import contextlib, io, json, sys
from quantd.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["quantize", "--help"],
        ["plan", "--help"],
        ["inspect", "--help"],
        ["jobs", "list", "--help"],
        ["keys", "create", "--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_a_help_text_imports_nothing_heavy(arguments):
    run = subprocess.run([sys.executable, "-c", LIST_MODULES, *arguments], capture_output=True, text=True, check=True)
    assert HEAVY & set(json.loads(run.stdout)) == set()


def test_the_command_alone_prints_its_help():
    assert (quantd().returncode, quantd().stdout) == (0, quantd("--help").stdout)


def test_a_group_alone_names_its_help():
    assert "jobs --help" in quantd("jobs").stderr


def test_the_version_is_that_of_the_package():
    assert quantd("--version").stdout.startswith("quantd 0.")


def test_completion_offers_subcommands_and_options():
    def completions(words):
        environment = {"_QUANTD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "1"}
        run = subprocess.run(
            [sys.executable, "-c", "from quantd.cli import app; app(prog_name='quantd')"],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        return run.stdout.split()

    assert completions("quantd qu") == ["quantize"]


def test_the_help_names_every_preset():
    assert set(re.findall(r"[\w-]+", PRESET_NAMES)) - {"or"} == set(PRESETS)
