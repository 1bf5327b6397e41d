"""TorchScript modules of every kind, and the comparison of a module with its ONNX model."""

import numpy as np
import torch

from quant.runtime import Session
from quant.spec import ModuleInput


def declared(**shapes):
    """The float32 inputs of these shapes, as a spec declares them."""
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


class OneImage(torch.nn.Module):
    def forward(self, x):
        return x.reshape(1, -1) @ torch.ones(12, 2)


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
