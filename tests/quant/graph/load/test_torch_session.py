"""torch runs quietly."""

import sys

import pytest

from quant.errors import UnsupportedTorchScript
from quant.graph.load.source import float_onnx
from quant.graph.load.torch_session import error_reason, torch_session
from tests.quant.graph.load.modules import Loud, Unknown, declared

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


def test_what_a_module_prints_does_not_reach_standard_output(save_module, tmp_path, capfd):
    with pytest.raises(UnsupportedTorchScript):
        float_onnx(save_module(Unknown()), tmp_path, declared(x=(3, 3)))
    float_onnx(save_module(Loud()), tmp_path, declared(x=("N", 3)))
    out, err = capfd.readouterr()
    assert out == ""
    assert "spoken by the module" in err


def test_a_missing_torch_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnsupportedTorchScript, match=r"install quantd-server\[torchscript\]"), torch_session():
        pass


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("first\nsecond", "first"),
        ("Traceback of TorchScript\n  at line 3\nRuntimeError: sizes\n", "RuntimeError: sizes"),
        ("", "ValueError"),
    ],
)
def test_the_reason_of_an_error_is_one_line(text, reason):
    assert error_reason(ValueError(text)) == reason
