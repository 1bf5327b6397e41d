"""Modules run on random inputs of their call, or are refused with the reason."""

import pytest
import torch

from quant.errors import UnsupportedTorchScript
from quant.graph.load.module_call import Call
from quant.graph.load.module_run import flatten, random_tensors
from quant.graph.load.source import float_onnx
from quant.spec import ModuleInput
from tests.quant.graph.load.modules import OneImage, declared

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


def test_a_module_that_fails_is_refused_with_its_reason(save_module, tmp_path):
    with pytest.raises(UnsupportedTorchScript, match=r"fails on x \[2, 4\] float32.*accepted"):
        float_onnx(save_module(torch.nn.Linear(3, 2)), tmp_path, declared(x=("N", 4)))


def test_the_spec_cannot_free_what_the_module_fixes(save_module, tmp_path):
    with pytest.raises(UnsupportedTorchScript, match="fails on x"):
        float_onnx(save_module(OneImage()), tmp_path, declared(x=("N", 12)))


def test_random_inputs_have_the_shapes_and_dtypes_of_the_call():
    call = Call(
        (ModuleInput(name="x", shape=(2, 3), dtype="float16"), [ModuleInput(name="b", shape=(), dtype="uint8")])
    )
    x, b = random_tensors(call)
    assert (x.dtype, tuple(x.shape), b.dtype, tuple(b.shape)) == (torch.float16, (2, 3), torch.uint8, ())
    assert torch.equal(x, random_tensors(call)[0])


def test_outputs_are_flattened_in_order():
    a, b, c = (torch.tensor(value) for value in range(3))
    assert list(flatten({"k": [a, None], "l": (b, {"m": c})})) == [a, b, c]
