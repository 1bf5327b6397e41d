"""A few hundred damaged files: each ends in a clean problem."""

import io

import pytest
import torch

from tests.e2e.attacks.fuzz import fuzz, kinds

COUNTS = {"onnx": 100, "zip": 50, "npz": 50, "torchscript": 6}
CLEAN = ("succeeded", "model.", "dataset.", "export.", "worker.out_of_memory", "worker.timeout")


@pytest.fixture(scope="module")
def files():
    buffer = io.BytesIO()
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
    torch.jit.save(torch.jit.trace(module.eval(), torch.ones(2, 4)), buffer)
    return kinds(buffer.getvalue())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_end_cleanly(files, kind):
    ends, unclean = fuzz(files[kind], COUNTS[kind], seed=1)
    assert unclean == []
    assert sum(ends.values()) == COUNTS[kind]
    assert all(code.startswith(CLEAN) for code in ends), ends
    assert len(ends) > 1  # some are refused
