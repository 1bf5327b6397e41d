"""Fixtures for the tests of the export."""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from tests.quant.export import models
from tests.specs import UNMEASURED


@pytest.fixture(autouse=True)
def same_random_models():
    """Reset the random numbers of the models before each test, so that they do not depend on other tests."""
    models.RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture
def quantize(tmp_path, examples):
    """Return a function that quantizes a model, the digits by default, into the exported bytes and the report."""

    def run(spec, model=None, calibration=None):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        path = model or examples / "digits.onnx"
        calibration = calibration or (None if model else examples / "digits_calibration.npz")
        quantize_model(Inputs(path, "m.onnx", {**UNMEASURED, **spec}, calibration), out, lambda *_: None)
        return (out / "model.onnx").read_bytes(), json.loads((out / "report.json").read_text())

    return run
