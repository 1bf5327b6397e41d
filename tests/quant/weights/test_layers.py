"""The layers of a model, quantized each by its section of the spec."""

import numpy as np
import pytest

from quant.calibration.input_moments import InputSample
from quant.errors import NothingToQuantize
from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights.layers import adapt_to_kernel, choose_layers, needs_moments, quantize_layers
from quant.weights.quantize import decoded
from tests.quant.one_layer import KINDS, model_of, output_error, problem_of

RNG = np.random.default_rng(0)


def layer_of(kind):
    return inventory(model_of(*KINDS[kind]))[0][0]


def test_skipped_layers_are_listed_with_the_rule_and_none_left_is_an_error():
    spec = resolve({"preset": "int8-weights", "layers": [{"match": "*", "skip": True}]})
    with pytest.raises(NothingToQuantize, match="a layer rule of the spec skips it"):
        choose_layers(model_of(*KINDS["gemm"]), spec)
    work, skipped = choose_layers(model_of(*KINDS["gemm"]), resolve({"preset": "int8-weights"}))
    assert ([layer.op for layer, _ in work], skipped) == (["Gemm"], [])


@pytest.mark.parametrize(
    ("weights", "needed"),
    [({}, True), ({"clipping": "minmax"}, False), ({"clipping": "mae", "rounding": "expected_feedback"}, True)],
)
def test_moments_are_needed_by_auto_bounds_and_by_error_feedback(weights, needed):
    assert needs_moments(resolve({"weights": {"rounding": "nearest", **weights}}).weights) == needed


def test_blocks_become_channels_where_no_kernel_takes_them():
    spec = resolve({"preset": "int4-weights", "weights": {"granularity": "block", "block_size": 16}})
    section, notes = adapt_to_kernel(layer_of("conv"), spec.weights)
    assert (section.granularity, len(notes)) == ("channel", 1)
    assert adapt_to_kernel(layer_of("matmul"), spec.weights) == (spec.weights, [])


@pytest.mark.parametrize("rounding", ["nearest", "error_feedback"])
def test_known_moments_lower_the_output_error(rounding):
    problem, _ = problem_of(outputs=12, inputs=64)
    spec = resolve({"preset": "int4-weights", "weights": {"bits": 3, "grid": "kmeans", "rounding": rounding}})
    errors = []
    for moments in ({}, {problem.layer.name: problem.moments}):
        (result,) = quantize_layers([(problem.layer, spec.weights)], moments, spec, lambda *_: None)
        change = (decoded(result.quantized) - problem.layer.weight).T[None].astype(np.float64)
        errors.append(output_error(change, problem.hessian).sum())
    assert errors[1] < {"nearest": 0.98, "error_feedback": 0.9}[rounding] * errors[0]


def test_error_feedback_on_a_sample_of_inputs_is_replaced_and_noted():
    problem, _ = problem_of(outputs=4, inputs=8)
    spec = resolve({"preset": "int4-weights", "weights": {"rounding": "error_feedback"}})
    sample = InputSample(RNG.normal(size=(1, 50, 8)).astype(np.float32))
    (result,) = quantize_layers([(problem.layer, spec.weights)], {problem.layer.name: sample}, spec, lambda *_: None)
    assert result.spec.rounding.name == "nearest"
    assert any(note.startswith("rounded to nearest") for note in result.notes)


def test_a_known_fit_is_used_again():
    spec = resolve({"preset": "int4-weights"})
    layer = layer_of("gemm")
    (first,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None)
    (second,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None, {layer.name: first.fitted})
    assert second.fitted is first.fitted
    np.testing.assert_array_equal(second.quantized.codes, first.quantized.codes)
