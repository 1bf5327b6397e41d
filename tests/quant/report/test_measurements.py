"""Measurements at the layers' outputs: when they are made, and what they show."""

import numpy as np
import pytest

from quant.data.read import read_dataset
from quant.error_bounds.propagate import NO_BOX, NOT_ASKED
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.report.measurements import NO_SHIFTS, PART, SAMPLES, measure_bounds, measure_layers
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
    data_free = choice({"preset": "int8-weights"}, calibrated=False)
    compared = measure_layers(data_free, ignore)
    assert (compared.differences, compared.shifts) == ({}, NO_SHIFTS)
    assert measure_bounds(data_free) == NO_BOX


def test_a_report_on_weights_asks_for_no_measurement(choice):
    weights_only = choice({"preset": "int8", "report": "weights"})
    compared = measure_layers(weights_only, ignore)
    assert (compared.differences, compared.shifts.layers) == ({}, {})
    assert measure_bounds(weights_only) == NOT_ASKED


def test_every_layer_is_measured_and_bounded(choice):
    chosen = choice({"preset": "int8"})
    compared, bounds = measure_layers(chosen, ignore), measure_bounds(chosen)
    assert len(compared.differences) == len(compared.shifts.layers) == len(bounds.layers) == 7
    assert all(difference.sqnr_db > 15 for difference in compared.differences.values())
    assert all(np.isfinite(bound.interval) for bound in bounds.layers.values())


def test_few_samples_are_compared_however_many_are_held_out(choice):
    chosen = choice({"preset": "int8"})
    few = min(SAMPLES, chosen.context.calibration.used // PART)
    assert chosen.context.held_out.used > few
    assert few - 1 <= measure_layers(chosen, ignore).shifts.samples <= few
