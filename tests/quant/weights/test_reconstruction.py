"""Reconstruction of one layer: its rounding and its bias for the inputs that the quantized model gives it."""

from dataclasses import replace

import numpy as np
import pytest

from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import clip_bound, decoded, fit_weight, quantize_weight
from quant.weights.reconstruction import LayerRows, bias_shift, relative_error, round_again
from quant.weights.storage_form import StorageForm
from tests.quant.one_layer import model_of

RNG = np.random.default_rng(0)
GRIDS = [("uniform", 4), ("mid_rise", 2), ("ternary_optimal", 2), ({"name": "kmeans", "tables": "layer"}, 3)]


def built(grid, bits, relu=False):
    """Return a MatMul rounded to nearest, and rows whose inputs the quantized model made smaller and noisy."""
    (layer,), _ = inventory(model_of("MatMul", (24, 10), (24,), {}))
    section = resolve({"weights": {"bits": bits, "grid": grid, "rounding": "reconstruct"}}).weights
    fitted = fit_weight(layer.weight, PerChannel(layer.axis), section)
    quantized = quantize_weight(fitted, section, clip_bound(fitted, section))
    inputs = np.maximum(RNG.normal(size=(1, 600, 24)) @ RNG.normal(size=(24, 24)), 0).astype(np.float32)
    changed = (0.9 * inputs + RNG.normal(scale=0.3, size=inputs.shape)).astype(np.float32)
    low, high = (np.array(bound, np.float32) for bound in ((0, 6) if relu else (-np.inf, np.inf)))
    rows = LayerRows(inputs, changed, (inputs @ layer.weight)[0], None, (low, high))
    return QuantizedLayer(layer, section, StorageForm.INTEGER, fitted, quantized, 0.0), rows


@pytest.mark.parametrize(("grid", "bits"), GRIDS)
def test_the_error_for_changed_inputs_falls_on_every_grid(grid, bits):
    layer, rows = built(grid, bits)
    after = round_again(layer, rows)
    errors = [relative_error(each, bias_shift(each, rows), rows) for each in (layer, after)]
    assert errors[1] < 0.9 * errors[0]
    assert after.quantized.codes.dtype == layer.quantized.codes.dtype
    assert (after.quantized.bits, after.quantized.rows_per_table) == (bits, layer.quantized.rows_per_table)
    np.testing.assert_array_equal(round_again(layer, rows).quantized.codes, after.quantized.codes)


def test_few_rows_do_not_tell_how_inputs_changed():
    layer, rows = built("uniform", 4)
    few = replace(rows, **{name: getattr(rows, name)[:, :40] for name in ("inputs", "quantized_inputs")})
    without = replace(few, inputs=few.quantized_inputs)
    np.testing.assert_array_equal(*(decoded(round_again(layer, each).quantized) for each in (few, without)))


@pytest.mark.parametrize("relu", [False, True])
def test_the_shift_of_the_bias_removes_the_mean_error_behind_the_activation(relu):
    layer, rows = built("mid_rise", 2, relu)
    rows = replace(rows, drift=np.full_like(rows.outputs, 0.7))
    shift = bias_shift(layer, rows)
    difference = rows.differences(layer.layer, decoded(layer.quantized))
    before, after = (
        np.abs((rows.activated(rows.outputs + difference + each) - rows.activated(rows.outputs)).mean(axis=0)).max()
        for each in (0, shift.astype(np.float32))
    )
    assert after < 0.1 * before
    assert relative_error(layer, shift, rows) < relative_error(layer, 0 * shift, rows)
