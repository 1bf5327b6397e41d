"""TorchScript modules become ONNX models that compute the same at any batch."""

from itertools import product

import numpy as np
import onnx
import pytest
import torch

from quant.graph.load.onnx_file import load
from quant.graph.load.source import float_onnx
from quant.runtime import Session
from tests.quant.graph.load.modules import (
    Branches,
    Defaults,
    Halving,
    Lists,
    OneImage,
    Steps,
    Words,
    assert_same,
    declared,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape"),
    [("resnet20_cifar10", (3, 32, 32)), ("resnet20_cifar10_jpeg", (3, 32, 32)), ("vit_mnist", (1, 28, 28)),
     ("mobilenetv1_075_imagenet", (3, 224, 224))],
)  # fmt: skip
def test_real_traces_compute_what_their_onnx_files_do(data, tmp_path, name, shape):
    model = float_onnx(data / "models" / f"{name}.pt", tmp_path)
    assert load(model).opset_imports[""] == 21
    for batch in (1, 5, 8):
        images = normal(batch, *shape)
        assert_same(data / "models" / f"{name}.pt", model, {"x": images})
        (expected,) = Session(data / "models" / f"{name}.onnx").run({"input": images})
        (actual,) = Session(model).run({"x": images})
        np.testing.assert_allclose(actual, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.data
def test_a_scripted_mlp_takes_its_shapes_from_the_spec(data, tmp_path):
    path = data / "coverage" / "wtw_adaptation_module.jit"
    model = float_onnx(path, tmp_path, declared(history=("N", 2100)))
    for batch in (1, 3, 8):
        assert_same(path, model, {"history": normal(batch, 2100)})


@pytest.mark.data
def test_a_scripted_lstm_with_its_state_in_and_out(data, tmp_path):
    path = data / "coverage" / "anydrive_v3_lstm.pt"
    model = float_onnx(path, tmp_path, declared(x=("N", "T", 2), h=(2, "N", 8), c=(2, "N", 8)))
    for batch, steps in product((1, 3, 8), (1, 5)):
        arguments = {"x": normal(batch, steps, 2), "h": normal(2, batch, 8), "c": normal(2, batch, 8)}
        assert_same(path, model, arguments, lambda x, h, c: (x, (h, c)))


@pytest.mark.parametrize(
    ("module", "shapes", "build"),
    [
        (Branches(), {"x": ("N", 3)}, None),
        (Steps(), {"x": ("N", "T", 3)}, None),
        (Halving(), {"x": ("N", 3)}, None),
        (Defaults(), {"x": ("N", 3)}, None),
        (Defaults(), {"x": ("N", 3), "shift": (3,)}, lambda x, shift: (x, 3, shift)),
        (Lists(), {"a": ("N", 3), "b": ("N", 2)}, lambda a, b: ([a, b],)),
    ],
)
def test_scripted_control_flow_lists_and_defaults(save_module, tmp_path, module, shapes, build):
    path = save_module(module)
    model = float_onnx(path, tmp_path, declared(**shapes))
    for batch, scale in product((1, 4, 8), (1, -1, 9)):
        sizes = {"N": batch, "T": 6}
        arguments = {
            name: scale * np.abs(normal(*(sizes.get(size, size) for size in shape))) for name, shape in shapes.items()
        }
        assert_same(path, model, arguments, build or (lambda *tensors: tensors))


def test_token_ids_are_read_at_their_dtype(save_module, tmp_path):
    path = save_module(Words(), torch.ones(2, 4, dtype=torch.int64))
    model = float_onnx(path, tmp_path)
    assert_same(path, model, {"ids": RNG.integers(0, 7, (8, 4))})


def test_the_spec_renames_and_frees_what_was_traced(save_module, tmp_path):
    path = save_module(torch.nn.Conv2d(3, 4, 3), torch.ones(1, 3, 9, 9))
    model = float_onnx(path, tmp_path, declared(image=("B", 3, "H", "W")))
    assert_same(path, model, {"image": normal(8, 3, 20, 11)})


def test_a_trace_that_holds_for_its_own_batch_alone_keeps_it(save_module, tmp_path):
    path = save_module(OneImage(), torch.ones(1, 12))
    model = float_onnx(path, tmp_path)
    assert_same(path, model, {"x": normal(1, 12)})
    assert list(load(model).graph.inputs[0].shape) == [1, 12]


def test_the_weights_keep_their_names(save_module, tmp_path):
    model = float_onnx(save_module(torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.ones(1, 3)), tmp_path)
    assert {tensor.name for tensor in onnx.load(model).graph.initializer} == {"0.weight", "0.bias"}
