"""Runs of a TorchScript module on seeded random inputs."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.errors import UnsupportedTorchScript
from quant.graph.load.module_call import Call
from quant.graph.load.torch_session import error_reason
from quant.graph.normalise.generated import random_integers


@dataclass(frozen=True)
class ModuleRun:
    """One run of a module.

    Attributes:
        shapes: the names, shapes and dtypes of the inputs, for messages.
        feeds: the inputs by name.
        outputs: all tensors of the output in order.
        is_flat: True if the output was a tensor, or a tuple of tensors and tuples.
    """

    shapes: str
    feeds: dict[str, NDArray[Any]]
    outputs: list[NDArray[Any]]
    is_flat: bool


def run_module(module: Any, call: Call) -> ModuleRun:
    """Run the module on random inputs of a call without dynamic axes.

    Raises:
        UnsupportedTorchScript: the module fails on them, or its output has other values than tensors.
    """
    tensors = random_tensors(call)
    feeds = {item.name: tensor.numpy().copy() for item, tensor in zip(call.inputs, tensors, strict=True)}
    shapes = ", ".join(f"{item.name} {list(item.shape)} {item.dtype}" for item in call.inputs)
    try:
        result = module(*call.build(tensors))
        outputs = [output.numpy().copy() for output in flatten(result)]
    except Exception as error:  # noqa: BLE001 - a module may raise any exception
        raise UnsupportedTorchScript(f"the module fails on {shapes}: {error_reason(error)}") from None
    if not outputs:
        raise UnsupportedTorchScript("forward returns no tensor; accepted: modules that return tensors")
    parts = result if isinstance(result, tuple) else (result,)
    return ModuleRun(shapes, feeds, outputs, all(not isinstance(part, list | dict | NoneType) for part in parts))


def random_tensors(call: Call) -> list[Any]:
    """Return a seeded random torch.Tensor for each input of a call without dynamic axes."""
    import torch

    generator = np.random.default_rng(0)
    tensors = []
    for item in call.inputs:
        shape, dtype = [int(size) for size in item.shape], np.dtype(item.dtype)
        values = generator.standard_normal(shape) if dtype.kind == "f" else random_integers(generator, shape, dtype)
        tensors.append(torch.from_numpy(np.asarray(values).astype(dtype)))
    return tensors


def flatten(output: Any) -> Iterator[Any]:
    """Yield the tensors of a module's output in order, without None: an ONNX model has tensors only."""
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list | tuple):
        for part in output:
            yield from flatten(part)
    elif output is not None:
        yield output
