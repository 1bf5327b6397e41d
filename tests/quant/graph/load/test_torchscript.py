"""TorchScript modules become ONNX models that compute the same at any batch, or are refused by name."""

import json
import zipfile
from itertools import product

import numpy as np
import onnx
import pytest
import torch

from quant.errors import (
    InputShapesRequired,
    SpecError,
    StatefulModule,
    UnreadableModel,
    UnsafeModel,
    UnsupportedFormat,
    UnsupportedTorchScript,
)
from quant.graph.load.onnx_file import load
from quant.graph.load.source import float_onnx
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from quant.spec import ModuleInput

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole
RNG = np.random.default_rng(0)


def given(**shapes):
    return [ModuleInput(name=name, shape=shape, dtype="float32") for name, shape in shapes.items()]


def tensors_of(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [part for item in value for part in tensors_of(item)] if isinstance(value, list | tuple) else [value]


def assert_same(path, model, arguments, build=lambda *tensors: tensors):
    """The ONNX file gives what the module gives, for these arrays by input name."""
    module = torch.jit.load(str(path)).eval()
    with torch.no_grad():
        expected = tensors_of(module(*build(*map(torch.from_numpy, arguments.values()))))
    actual = Session(model).run(arguments)
    assert len(actual) == len(expected)
    for a, b in zip(expected, actual, strict=True):
        scale = max(float(a.abs().max()), 1e-6)
        np.testing.assert_allclose(a.numpy() / scale, b / scale, atol=1e-3)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


# Real modules


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
    model = float_onnx(path, tmp_path, given(history=("N", 2100)))
    for batch in (1, 3, 8):
        assert_same(path, model, {"history": normal(batch, 2100)})


@pytest.mark.data
def test_a_scripted_lstm_with_its_state_in_and_out(data, tmp_path):
    path = data / "coverage" / "anydrive_v3_lstm.pt"
    model = float_onnx(path, tmp_path, given(x=("N", "T", 2), h=(2, "N", 8), c=(2, "N", 8)))
    for batch, steps in product((1, 3, 8), (1, 5)):
        arguments = {"x": normal(batch, steps, 2), "h": normal(2, batch, 8), "c": normal(2, batch, 8)}
        assert_same(path, model, arguments, lambda x, h, c: (x, (h, c)))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shapes", "written"),
    [("unitree_g1_motion.pt", {"x": ("N", 47)}, "'hidden_state', 'cell_state'"),
     ("silero_vad.jit", {}, "'_context', '_last_batch_size', '_last_sr', '_state'")],
)  # fmt: skip
def test_modules_that_keep_state_are_refused_by_what_they_write(data, tmp_path, name, shapes, written):
    with pytest.raises(StatefulModule, match=written):
        float_onnx(data / "coverage" / name, tmp_path, given(**shapes))


@pytest.mark.data
@pytest.mark.parametrize("name", ["anydrive_v3_lstm.pt", "wtw_adaptation_module.jit"])
def test_a_scripted_module_without_shapes_says_what_to_add(data, tmp_path, name):
    with pytest.raises(InputShapesRequired, match=r"torchscript: \{inputs: \[\{name: input") as caught:
        float_onnx(data / "coverage" / name, tmp_path)
    assert [fault.pointer for fault in caught.value.errors] == ["/torchscript/inputs"]


# Modules of every kind


class Branches(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x + 1
        return x - 1


class Steps(torch.nn.Module):
    def forward(self, x):
        y = torch.zeros_like(x[:, 0])
        for step in range(x.size(1)):
            y = y * 0.5 + x[:, step]
        return y


class Halving(torch.nn.Module):
    def forward(self, x):
        while bool(x.abs().max() > 1):
            x = x / 2
        return x


class Defaults(torch.nn.Module):
    def forward(self, x, times: int = 3, shift: torch.Tensor | None = None, flag: bool = True):
        for _ in range(times):
            x = x * 1.5
        if shift is not None:
            x = x + shift
        return {"a": x if flag else -x, "b": x + 1}


class Lists(torch.nn.Module):
    def forward(self, parts: list[torch.Tensor]):
        return torch.cat(parts, 1), [parts[0] * 2, parts[1]]


class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 5)

    def forward(self, ids):
        return self.embedding(ids).sum(1)


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
    model = float_onnx(path, tmp_path, given(**shapes))
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
    model = float_onnx(path, tmp_path, given(image=("B", 3, "H", "W")))
    assert_same(path, model, {"image": normal(8, 3, 20, 11)})


class OneImage(torch.nn.Module):
    def forward(self, x):
        return x.reshape(1, -1) @ torch.ones(12, 2)


def test_a_trace_that_holds_for_its_own_batch_alone_keeps_it(save_module, tmp_path):
    path = save_module(OneImage(), torch.ones(1, 12))
    model = float_onnx(path, tmp_path)
    assert_same(path, model, {"x": normal(1, 12)})
    assert list(load(model).graph.inputs[0].shape) == [1, 12]


def test_the_spec_cannot_free_what_the_module_fixes(save_module, tmp_path):
    with pytest.raises(UnsupportedTorchScript, match="fails on x"):
        float_onnx(save_module(OneImage()), tmp_path, given(x=("N", 12)))


def test_equal_input_gives_equal_bytes(tmp_path, examples):
    made = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        made.append(float_onnx(examples / "digits.pt", folder).read_bytes())
    assert made[0] == made[1]


def test_a_trace_goes_the_whole_way_and_loses_what_its_onnx_file_loses(tmp_path, examples):
    found = []
    for name in ("digits.pt", "digits.onnx"):
        with np.load(examples / "digits_calibration.npz") as calibration:
            arrays = dict(calibration)
        if name == "digits.pt":
            arrays["images"] = arrays.pop("input")
        np.savez(tmp_path / "c.npz", **arrays)
        inputs = Inputs(examples / name, name, {"preset": "int8"}, tmp_path / "c.npz", tmp_path / "c.npz")
        (tmp_path / name).mkdir()
        outcome = quantize_model(inputs, tmp_path / name, lambda *_: None)
        found.append((outcome.summary.quantized_layers, outcome.summary.output_sqnr_db))
        assert json.loads((tmp_path / name / "report.json").read_text())["warnings"] == []
    assert found[0][0] == found[1][0] == 7
    assert found[0][1] == pytest.approx(found[1][1], abs=1.0)


# What is refused


class Noise(torch.nn.Module):
    def forward(self, x):
        return x + torch.rand(3)


class Loud(torch.nn.Module):
    def forward(self, x):
        print("spoken by the module")  # noqa: T201
        return x + 1


class Size(torch.nn.Module):
    def forward(self, x, size: int):
        return x * size


class Unknown(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.eigvalsh(x)


@pytest.mark.parametrize(
    ("module", "shapes", "error", "message"),
    [
        (Noise(), {"x": ("N", 3)}, UnsupportedTorchScript, "random numbers"),
        (Size(), {"x": ("N", 3)}, UnsupportedTorchScript, r"argument 'size' of forward is int"),
        (Unknown(), {"x": (3, 3)}, UnsupportedTorchScript, "linalg_eigvalsh"),
        (Branches(), {"x": ("N", 3), "y": ("N", 3)}, SpecError, "names 2 inputs"),
        (torch.nn.Linear(3, 2), {"x": ("N", 4)}, UnsupportedTorchScript, r"fails on x \[2, 4\] float32.*accepted"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(save_module, tmp_path, module, shapes, error, message):
    with pytest.raises(error, match=message):
        float_onnx(save_module(module), tmp_path, given(**shapes))


def test_a_trace_in_training_mode_is_refused_by_the_statistics_that_it_writes(save_module, tmp_path):
    path = save_module(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)), torch.ones(4, 1, 8, 8))
    with pytest.raises(StatefulModule, match="running_mean"):
        float_onnx(path, tmp_path)


def test_what_a_module_prints_does_not_reach_standard_output(save_module, tmp_path, capfd):
    with pytest.raises(UnsupportedTorchScript):
        float_onnx(save_module(Unknown()), tmp_path, given(x=(3, 3)))
    float_onnx(save_module(Loud()), tmp_path, given(x=("N", 3)))
    out, err = capfd.readouterr()
    assert out == ""
    assert "spoken by the module" in err


# Archives that reach for more


@pytest.mark.parametrize(
    "line",
    [
        'y = torch.from_file("/etc/passwd", False, 10)',
        'y = ops.aten.from_file("/etc/passwd", False, 10)',
        'torch.save(x, "/tmp/stolen")',
        'f = torch.save',
        'y = getattr(torch, "sa\\x76e")(x, "/tmp/stolen")',
        '(x).save("/tmp/stolen")',
        "y = ops.evil.run(x)",
        "o = ops",
        "y = torch.ops.evil.run(x)",
        "y = __torch__.torch.classes.evil.Thing()",
        "y = torch.classes.aten.Thing()",
        "y = (__torch__.Thing()).save(1)",
        "y = __torch__.__torch__.torch.classes.evil.Thing().load()",
    ],
)  # fmt: skip
def test_code_that_reaches_outside_is_refused_before_torch_sees_it(save_module, rewrite, tmp_path, line):
    def insert(name, data):
        if not name.endswith(".py"):
            return data
        head, sep, tail = data.decode().partition("-> Tensor:\n")
        return f"{head}{sep}    {line}\n{tail}".encode()

    path = rewrite(save_module(torch.nn.ReLU(), torch.ones(1, 2)), insert)
    with pytest.raises(UnsafeModel, match=r"code/.*line \d+"):
        float_onnx(path, tmp_path)


@pytest.mark.parametrize("package", ["torchvision.ops.misc", "network.load", "vision.classes"])
def test_a_package_may_have_the_name_of_an_operator(save_module, tmp_path, package):
    module = type("Layer", (torch.nn.ReLU,), {"__module__": package})()
    path = save_module(torch.nn.Sequential(module, torch.nn.ReLU()), torch.ones(1, 2))
    with zipfile.ZipFile(path) as archive:
        assert any(package.replace(".", "/") in name for name in archive.namelist())
    assert_same(path, float_onnx(path, tmp_path), {"input": normal(3, 2)})


@pytest.mark.parametrize("hook", ["__setstate__", "__getstate__"])
def test_code_that_runs_at_load_is_refused(save_module, rewrite, tmp_path, hook):
    def add(name, data):
        return data + f"  def {hook}(self, s):\n    return None\n".encode() if name.endswith(".py") else data

    with pytest.raises(UnsafeModel, match=hook):
        float_onnx(rewrite(save_module(torch.nn.ReLU(), torch.ones(1, 2)), add), tmp_path)


def test_code_in_another_case_is_looked_at_too(save_module, tmp_path):
    path = save_module(torch.nn.ReLU(), torch.ones(1, 2))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("uploaded/CODE/__torch__/evil.PY", "torch.save(1, '2')")
    with pytest.raises(UnsafeModel, match="save"):
        float_onnx(path, tmp_path)


def test_a_quantized_module_is_refused_as_such(save_module, rewrite, tmp_path):
    def insert(name, data):
        return data.replace(b"torch.relu", b"ops.quantized.relu6") if name.endswith(".py") else data

    with pytest.raises(UnsupportedTorchScript, match="already quantized"):
        float_onnx(rewrite(save_module(torch.nn.ReLU(), torch.ones(1, 2)), insert), tmp_path)


def test_a_checkpoint_is_told_from_a_module(tmp_path):
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(UnsupportedFormat, match=r"checkpoint.*torch\.jit"):
        float_onnx(tmp_path / "weights.pt", tmp_path)


@pytest.mark.parametrize("damage", ["data.pkl", "constants.pkl", ".py"])
def test_damaged_archives_are_refused(save_module, rewrite, tmp_path, damage):
    path = rewrite(
        save_module(torch.nn.ReLU(), torch.ones(1, 2)), lambda n, d: d[: len(d) // 2] if n.endswith(damage) else d
    )
    with pytest.raises((UnreadableModel, UnsupportedTorchScript)):
        float_onnx(path, tmp_path)


def test_a_bomb_of_weights_is_refused_by_what_it_declares(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"")
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data/0", bytes(300 << 20))
    with pytest.raises(UnsafeModel, match="unpacks to more than"):
        float_onnx(path, tmp_path)
    assert not (tmp_path / "module.pt").exists() or (tmp_path / "module.pt").stat().st_size < 1000


def test_the_weights_keep_their_names(save_module, tmp_path):
    model = float_onnx(save_module(torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.ones(1, 3)), tmp_path)
    assert {tensor.name for tensor in onnx.load(model).graph.initializer} == {"0.weight", "0.bias"}
