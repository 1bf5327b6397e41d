"""Honest jobs of all kinds make no system call that the sandbox refuses."""

import io

import numpy as np
import pytest
import torch

from tests.e2e.attacks import models
from tests.specs import QUICK
from worker.protocol import Done, Logged


def digits(examples):
    roles = {"model": "digits.onnx", "calibration": "digits_calibration.npz", "evaluation": "digits_evaluation.npz"}
    return {role: (examples / name).read_bytes() for role, name in roles.items()}, {**QUICK, "preset": "int8"}


def external_data(examples):
    weights = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32).tobytes()
    model = models.external("w.bin", offset=0, length=len(weights))
    return {"model": models.zipped(**{"m.onnx": model, "w.bin": weights})}, {"preset": "int4-weights"}


def torchscript(examples):
    buffer = io.BytesIO()
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).eval()
    torch.jit.save(torch.jit.trace(module, torch.ones(2, 4)), buffer)
    return {"model": buffer.getvalue()}, {"preset": "int8-weights"}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", [digits, external_data, torchscript])
def test_an_honest_job_succeeds_and_makes_no_refused_call(children, examples, kind):
    files, spec = kind(examples)
    with children.new() as child:
        for role, data in files.items():
            (child.folder / role).write_bytes(data)
        child.begin({"name": "m", "spec": spec, "out": "out", **{role: role for role in files}})
        lines = [line for line in child if line is not None]
    assert isinstance(lines[-1], Done), lines[-1]
    assert [line.message for line in lines if isinstance(line, Logged) and "sandbox" in line.message] == []
