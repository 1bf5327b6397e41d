"""TorchScript archives made on the spot."""

import zipfile

import pytest
import torch


@pytest.fixture
def save_module(tmp_path):
    """Save a scripted module, or the trace of one where inputs are given; the path."""

    def run(module, *inputs):
        with torch.no_grad():
            scripted = torch.jit.trace(module, inputs) if inputs else torch.jit.script(module)
        path = tmp_path / "uploaded.pt"
        torch.jit.save(scripted, str(path))
        return path

    return run


@pytest.fixture
def rewrite(tmp_path):
    """Copy a zip with some members' bytes changed by `change(inner name, bytes)`; None drops a member."""

    def run(path, change):
        target = tmp_path / "rewritten.pt"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
            for member in old.infolist():
                data = change(member.filename.split("/", 1)[1], old.read(member))
                if data is not None:
                    new.writestr(member.filename, data)
        return target

    return run
