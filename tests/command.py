"""The `quantd` command in this process: a process of its own would spend half a second on imports."""

import contextlib
import io
import subprocess
import sys

import pytest
from rich.console import Console

from client import cli


def quantd(*arguments, **environment):
    """What it prints and its exit status, as a shell would see them."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["quantd", *map(str, arguments)])
        patch.setattr(cli, "out_console", Console(width=160))
        with pytest.raises(SystemExit) as end:
            cli.main()
    return subprocess.CompletedProcess(arguments, end.value.code, out.getvalue(), err.getvalue())
