"""Uploads for the tests of loading: archives and TorchScript files."""

import zipfile

import pytest
import torch

from quant.graph.load.source import float_onnx


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


@pytest.fixture
def unpacked(tmp_path):
    """The path of the ONNX file in an upload of these bytes."""

    def run(data):
        upload, folder = tmp_path / "upload", tmp_path / "folder"
        upload.write_bytes(data)
        folder.mkdir()
        return float_onnx(upload, folder)

    return run
