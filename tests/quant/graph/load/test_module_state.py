"""Modules that keep state or draw random numbers are refused."""

import pytest
import torch

from quant.errors import StatefulModule, UnsupportedTorchScript
from quant.graph.load.source import float_onnx
from tests.quant.graph.load.modules import Noise, declared

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shapes", "written"),
    [("unitree_g1_motion.pt", {"x": ("N", 47)}, "'hidden_state', 'cell_state'"),
     ("silero_vad.jit", {}, "'_context', '_last_batch_size', '_last_sr', '_state'")],
)  # fmt: skip
def test_modules_that_keep_state_are_refused_by_what_they_write(data, tmp_path, name, shapes, written):
    with pytest.raises(StatefulModule, match=written):
        float_onnx(data / "coverage" / name, tmp_path, declared(**shapes))


def test_a_trace_in_training_mode_is_refused_by_the_statistics_that_it_writes(save_module, tmp_path):
    path = save_module(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)), torch.ones(4, 1, 8, 8))
    with pytest.raises(StatefulModule, match="running_mean"):
        float_onnx(path, tmp_path)


def test_a_module_that_draws_random_numbers_is_refused(save_module, tmp_path):
    with pytest.raises(UnsupportedTorchScript, match="random numbers"):
        float_onnx(save_module(Noise()), tmp_path, declared(x=("N", 3)))
