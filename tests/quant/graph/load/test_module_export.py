"""A module is exported as it computes, or refused."""

import pytest
import torch
from onnx import helper

from quant.errors import UnsupportedTorchScript
from quant.graph.load import module_export
from quant.graph.load.onnx_file import load
from quant.graph.load.source import float_onnx
from tests.quant.graph.load.modules import Unknown, declared
from tests.quant.graph.models import model_of

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


def test_what_torch_cannot_export_is_refused_by_the_operator(save_module, tmp_path):
    with pytest.raises(UnsupportedTorchScript, match="linalg_eigvalsh"):
        float_onnx(save_module(Unknown()), tmp_path, declared(x=(3, 3)))


def test_an_export_that_computes_something_else_is_refused(save_module, tmp_path, monkeypatch):
    def export_another(module, call, runs, target):
        target.write_bytes(model_of([helper.make_node("Neg", ["x"], ["y"])], inputs={"x": ["N", 8]}))

    monkeypatch.setattr(module_export, "_export", export_another)
    with pytest.raises(UnsupportedTorchScript, match=r"something else than the module for x \[1, 8\].*differs"):
        float_onnx(save_module(torch.nn.ReLU()), tmp_path, declared(x=("N", 8)))


def test_the_axes_that_follow_the_batch_are_dynamic(save_module, tmp_path):
    model = load(float_onnx(save_module(torch.nn.Linear(3, 2)), tmp_path, declared(x=("N", 4, 3))))
    assert [str(size) for size in model.graph.outputs[0].shape] == ["N", "4", "2"]


def test_an_axis_that_follows_no_input_axis_gets_the_name_of_its_output(save_module, tmp_path):
    path = save_module(torch.nn.AvgPool1d(2))
    model = load(float_onnx(path, tmp_path, declared(x=("N", 3, "T"))))
    batch, channels, length = model.graph.outputs[0].shape
    assert (str(batch), channels) == ("N", 3)
    assert not isinstance(length, int)
