"""Sensitivity, against models in which only one layer is quantized."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.moment_observer import MomentObserver
from quant.calibration.observers import observe
from quant.correction.data_free import expected_shifts
from quant.data.dataset import Dataset
from quant.evaluation.metrics import OutputComparison
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.search.sensitivity import ACTIVATION, SAMPLES, measure_sensitivity
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers


@pytest.fixture
def digits(examples):
    images = np.load(examples / "digits_calibration.npz")["input"][:40]
    return normalise(load(examples / "digits.onnx")), Dataset({"input": images}, None, len(images), 8)


@pytest.mark.parametrize("corrected", [False, True])
def test_it_equals_the_error_of_a_model_with_only_that_layer_quantized(digits, corrected):
    model, samples = digits
    spec = resolve({"preset": "int4-weights", "export": {"weight_storage": "direct"}})
    work, _ = choose_layers(model, spec)
    observer = MomentObserver(model, [(layer, True) for layer, _ in work], samples)
    observe(weightless(model), samples, [observer], lambda *_: None)
    moments = observer.moments()
    layers = quantize_layers(work, moments, spec, lambda *_: None)
    shifts = expected_shifts(layers, moments) if corrected else {}
    changes = {quantized.layer.name: [quantized] for quantized in layers}
    sensitivity = measure_sensitivity(model, changes, shifts, samples.spread(SAMPLES), lambda *_: None)
    reference = Session(ir.to_proto(model).SerializeToString())
    few = list(samples.spread(SAMPLES).batches())
    assert sum(len(batch["input"]) for batch in few) == sensitivity.samples == 32
    for name, change in changes.items():
        alone, _ = assemble(model, change, {}, {layer: shift for layer, shift in shifts.items() if layer == name}, 21)
        session = Session(ir.to_proto(alone).SerializeToString(), fold_weights=True)
        comparison = OutputComparison()
        for batch in few:
            comparison.add(reference.run(batch), session.run(batch), None)
        (errors,) = comparison.errors
        assert sensitivity.signal == pytest.approx(errors.signal, rel=1e-4)
        assert sensitivity.noise[name] == pytest.approx(errors.noise, rel=1e-2)


def test_an_activation_alone_is_rounded_as_in_a_model_with_only_that_range(digits):
    model, samples = digits
    convolutions = [node for node in model.graph if node.op_type == "Conv"]
    value = convolutions[1].inputs[0]
    ranges = {str(value.name): ActivationRange(0.0, 2.0)}
    sensitivity = measure_sensitivity(model, {}, {}, samples.spread(16), lambda *_: None, ranges=ranges)
    alone, _ = assemble(model, [], ranges, {}, 21)
    reference, session = (Session(ir.to_proto(each).SerializeToString()) for each in (model, alone))
    comparison = OutputComparison()
    for batch in samples.spread(16).batches():
        comparison.add(reference.run(batch), session.run(batch), None)
    assert sensitivity.noise == {ACTIVATION + str(value.name): pytest.approx(comparison.errors[0].noise, rel=1e-2)}
    assert comparison.errors[0].noise > 0


def test_the_model_itself_is_left_unchanged(digits):
    model, samples = digits
    before = ir.to_proto(model).SerializeToString()
    spec = resolve({"preset": "int4-weights"})
    layers = quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)
    measure_sensitivity(model, {"all": layers}, {}, samples, lambda *_: None)
    assert onnx.load_model_from_string(ir.to_proto(model).SerializeToString()) == onnx.load_model_from_string(before)
