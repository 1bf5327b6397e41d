"""A TorchScript archive that reaches for more than a model needs is refused before torch opens it."""

import zipfile

import numpy as np
import pytest
import torch

from quant.errors import UnreadableModel, UnsafeModel, UnsupportedFormat, UnsupportedTorchScript
from quant.graph.load.source import float_onnx
from tests.quant.graph.load.modules import assert_same

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


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
