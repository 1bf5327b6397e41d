"""torch as quantd uses it: without gradients, warnings and output, and imported only if a module is opened."""

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from quant.errors import UnreadableModel, UnsupportedTorchScript


@contextmanager
def torch_session() -> Iterator[None]:
    """Run torch without gradients and warnings, with standard output redirected to standard error.

    A job reports its progress on standard output, which must hold nothing else. torch's C++ code writes to the file
    descriptor, and a module's own `print` to `sys.stdout`, so both are redirected.

    Raises:
        UnsupportedTorchScript: torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise UnsupportedTorchScript(
            "TorchScript needs torch, which is not installed; accepted: ONNX, or install quantd-server[torchscript]"
        ) from None
    sys.stdout.flush()
    standard_output = os.dup(1)
    os.dup2(2, 1)
    try:
        with torch.no_grad(), redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all of torch.jit is deprecated
            yield
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)
        os.dup2(standard_output, 1)
        os.close(standard_output)


def open_module(path: Path) -> Any:
    """Return the torch.jit.ScriptModule of a vetted file, in eval mode on the CPU.

    Raises:
        UnreadableModel: the archive is damaged.
        UnsupportedTorchScript: torch cannot open the module, or it has no forward.
    """
    import torch

    try:
        load: Any = torch.jit.load
        module = load(str(path), map_location="cpu").eval()
        module.forward.schema  # noqa: B018 - a module without forward fails here
    except Exception as error:  # noqa: BLE001 - torch raises any exception for hostile bytes
        kind = UnreadableModel if "PytorchStreamReader" in str(error) else UnsupportedTorchScript
        raise kind(f"torch {torch.__version__} cannot open the module: {error_reason(error)}") from None
    return module


def error_reason(error: Exception) -> str:
    """Return the line of a torch error that states the reason: the last of a TorchScript traceback, else the first."""
    lines = [line.strip() for line in str(error).strip().split("\n") if line.strip()] or [type(error).__name__]
    return (lines[-1] if "Traceback" in str(error) else lines[0])[:300]
