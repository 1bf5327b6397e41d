"""Measurements at the layers' outputs: when they are made, and what they show."""

import numpy as np
import pytest

from quant.data.read import read_dataset
from quant.error_bounds.propagate import NO_BOX, NOT_ASKED
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.report.measurements import measure_layers
from quant.search.context import Source, calibrate
from quant.search.decide import choose, quantize_weights
from quant.search.variants import Variant
from quant.spec import resolve


def ignore(*_):
    """Ignore progress."""


@pytest.fixture
def choice(examples):
    """Return a function that quantizes the digits network with a spec."""

    def run(spec, calibrated=True):
        model = normalise(load(examples / "digits.onnx"))
        data = read_dataset(examples / "digits_calibration.npz", model) if calibrated else None
        context = calibrate(Variant("", model, {}), data, resolve(spec), Source(100_000, "0"), ignore)
        return choose(context, quantize_weights(context, ignore), ignore)

    return run


def test_without_calibration_data_nothing_is_measured(choice):
    assert measure_layers(choice({"preset": "int8-weights"}, calibrated=False), ignore) == ({}, NO_BOX)


def test_a_report_on_weights_asks_for_no_measurement(choice):
    assert measure_layers(choice({"preset": "int8", "report": "weights"}), ignore) == ({}, NOT_ASKED)


def test_every_layer_is_measured_and_bounded(choice):
    differences, bounds = measure_layers(choice({"preset": "int8"}), ignore)
    assert len(differences) == len(bounds.layers) == 7
    assert all(difference.sqnr_db > 15 for difference in differences.values())
    assert all(np.isfinite(bound.interval) for bound in bounds.layers.values())
