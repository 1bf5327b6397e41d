"""The call of a module comes from its trace or from the spec."""

from types import SimpleNamespace

import pytest
import torch

from quant.errors import InputShapesRequired, SpecError, UnsupportedTorchScript
from quant.graph.load.module_call import declared_call, traced_call
from quant.graph.load.source import float_onnx
from quant.graph.load.traced_inputs import TracedTensor
from tests.quant.graph.load.modules import Branches, Defaults, Lists, Size, declared

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


@pytest.mark.data
@pytest.mark.parametrize("name", ["anydrive_v3_lstm.pt", "wtw_adaptation_module.jit"])
def test_a_scripted_module_without_shapes_says_what_to_add(data, tmp_path, name):
    with pytest.raises(InputShapesRequired, match=r"torchscript: \{inputs: \[\{name: input") as caught:
        float_onnx(data / "coverage" / name, tmp_path)
    assert [fault.pointer for fault in caught.value.errors] == ["/torchscript/inputs"]


def schema_of(module):
    return torch.jit.script(module).forward.schema


@pytest.mark.parametrize(
    ("module", "shapes", "error", "message"),
    [
        (Size(), {"x": ("N", 3)}, UnsupportedTorchScript, r"argument 'size' of forward is int"),
        (Branches(), {"x": ("N", 3), "y": ("N", 3)}, SpecError, "names 2 inputs"),
        (Branches(), {}, InputShapesRequired, r"forward\(x: Tensor\)"),
    ],
)
def test_a_spec_that_does_not_fit_forward_is_refused(module, shapes, error, message):
    with pytest.raises(error, match=message):
        declared_call(schema_of(module), declared(**shapes))


def test_a_declared_call_takes_defaults_and_lists():
    assert declared_call(schema_of(Defaults()), declared(x=("N", 3))).arguments[1:] == (3, None, True)
    inputs = declared(a=("N", 3), b=("N", 2))
    assert declared_call(schema_of(Lists()), inputs).arguments == (inputs,)


def test_a_traced_call_frees_the_first_axes_that_are_as_long_as_the_batch():
    arguments = [TracedTensor("float32", (4, 3)), (TracedTensor("int64", (4,)), TracedTensor("float32", (2, 4))), 7]
    names = [SimpleNamespace(name=name) for name in ("self", "x", "pair", "times")]
    call = traced_call(SimpleNamespace(arguments=names), arguments)
    assert [(item.name, item.shape) for item in call.inputs] == [
        ("x", ("N", 3)),
        ("pair_0", ("N",)),
        ("pair_1", (2, 4)),
    ]
    assert call.sizes == {"N": 4}
    assert call.at({"N": 9}).inputs[0].shape == (9, 3)
    assert call.build(["a", "b", "c"]) == ("a", ("b", "c"), 7)
    assert not call.is_flat
    assert call.dynamic_axes == {"x": {0: "N"}, "pair_0": {0: "N"}, "pair_1": {}}


def test_a_dtype_that_no_spec_can_name_is_refused():
    names = [SimpleNamespace(name=name) for name in ("self", "x")]
    with pytest.raises(UnsupportedTorchScript, match="traced as bfloat16"):
        traced_call(SimpleNamespace(arguments=names), [TracedTensor("bfloat16", (4, 3))])
