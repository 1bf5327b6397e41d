"""The `quantd` command in the test's process: a separate process would spend half a second on imports."""

import contextlib
import io
import subprocess
import sys

import pytest

from quantd import cli, console


def quantd(*arguments, **environment):
    """Run the command and return its output and its exit status, as a shell would see them."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["quantd", *map(str, arguments)])
        patch.setattr(console.out_console, "width", 160)
        with pytest.raises(SystemExit) as end:
            cli.main()
    return subprocess.CompletedProcess(arguments, end.value.code, out.getvalue(), err.getvalue())
