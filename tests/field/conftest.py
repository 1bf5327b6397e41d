"""Inputs that failed in the field: models of a few kB in `../shared/field`, quantized by the library."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.specs import UNTIMED

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class QuantizedCase:
    """A model of the field and what a job made of it."""

    float_model: Path
    model: Path
    report: dict[str, Any]

    @property
    def summary(self) -> dict[str, Any]:
        return self.report["summary"]

    def outputs(self, feeds: dict[str, NDArray[np.generic]]) -> tuple[list[Any], list[Any]]:
        """Return the float model's and the quantized model's outputs for one batch."""
        return tuple(list(Session(path.read_bytes()).run(feeds)) for path in (self.float_model, self.model))

    def signatures(self) -> tuple[Any, Any]:
        """Return names, types and shapes of the inputs and outputs of both models."""
        return tuple(signature(onnx.load(path)) for path in (self.float_model, self.model))


def signature(model: onnx.ModelProto) -> list[tuple[str, bytes]]:
    """Return each input and output that is no initializer, with its type as ONNX writes it."""
    constants = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in constants] + list(model.graph.output)
    return [(value.name, value.type.SerializeToString(deterministic=True)) for value in values]


@pytest.fixture(scope="session")
def field() -> Path:
    """Return the folder of the field's inputs."""
    data = Path(os.environ.get("QUANTD_DATA", ROOT.parent / "shared" / "data"))
    folder = data.parent / "field"
    if not folder.is_dir():
        pytest.skip(f"no inputs of the field at {folder}; set QUANTD_DATA to the folder beside it")
    return folder


@pytest.fixture
def quantize_case(field, tmp_path) -> Callable[..., QuantizedCase]:
    """Return a function that quantizes a case of the field by a spec, or a preset's name."""

    def run(name: str, spec: dict[str, Any] | str) -> QuantizedCase:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        spec = {"preset": spec} if isinstance(spec, str) else spec
        spec = {**UNTIMED, **spec}
        model = field / f"{name}.onnx"
        sets = {role: field / f"{name}.{role}.npz" for role in ("calibration", "evaluation")}
        quantize_model(Inputs(model, model.name, spec, **sets), out, lambda *_: None)
        return QuantizedCase(model, out / "model.onnx", json.loads((out / "report.json").read_text()))

    return run
