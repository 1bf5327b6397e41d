"""The mean shifts of the report are those of direct inference of the float, the uncorrected and the corrected model."""

import json
from weakref import WeakSet

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.observers import session_with_outputs
from quant.correction import mean_shift
from quant.correction.mean_shift import MIN_BATCHES, compare_layers
from quant.correction.twin import twin_session
from quant.data.dataset import Dataset
from quant.graph.activation_sites import site_of
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.outcome.stages import Stage
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.search.context import Source, calibrate
from quant.search.decide import choose, quantize_weights
from quant.search.variants import form_variants
from quant.spec import resolve

ROUNDING = 1e-2
"""The relative difference of two runs: their float sums differ in the last bit, and a value between two codes flips."""


def ignore(*_):
    """Ignore the progress."""


@pytest.fixture(scope="module")
def chosen(examples):
    """The choice for the digits at 4 bits, its model without correction, and the held-out samples."""
    model = normalise(load((examples / "digits.onnx").read_bytes()))
    with np.load(examples / "digits_calibration.npz") as arrays:
        images = arrays["input"] if "input" in arrays else arrays["images"]
    data = Dataset({model.graph.inputs[0].name: images.astype(np.float32)}, None, len(images), 8)
    spec = resolve({"preset": "int4", "weights": {"bits": 4, "clipping": "mse"}, "bias_correction": "calibrated"})
    (variant,) = form_variants(model, {}, spec, calibrated=True)
    context = calibrate(variant, data, spec, Source(10**5, ""), ignore)
    choice = choose(context, quantize_weights(context, ignore), ignore)
    uncorrected, _ = assemble(context.model, choice.layers, choice.ranges, {}, spec.export.opset)
    return choice, uncorrected


def channel_means(model, tensor, samples, axis):
    """Return the mean of each channel of a tensor, from a run of the model by itself."""
    session = session_with_outputs(weightless(model), [tensor], fold_weights=True)
    values = np.concatenate([session.run(feeds, [tensor])[0] for feeds in samples.batches()]).astype(np.float64)
    return np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]).mean(axis=0)


def test_before_and_after_are_those_of_direct_inference_on_the_same_samples(chosen):
    choice, uncorrected = chosen
    context = choice.context
    shifts = compare_layers(
        context.graph, uncorrected, choice.model, context.comparable_layers, context.held_out, ignore
    ).shifts
    assert shifts.samples == context.held_out.used
    logits = context.model.graph.outputs[0].name
    last = context.comparable_layers[-1].name
    means = [channel_means(model, logits, context.held_out, 1) for model in (context.model, uncorrected, choice.model)]
    assert shifts.layers[last].before.value == pytest.approx(np.abs(means[1] - means[0]).mean(), rel=ROUNDING)
    assert shifts.layers[last].after.value == pytest.approx(np.abs(means[2] - means[0]).mean(), rel=ROUNDING)
    layer = next(layer for layer in context.comparable_layers if site_of(layer) is None)  # no activation after it
    tensors = [
        next(node.outputs[0].name for node in model.graph if node.name == layer.name)
        for model in (context.model, uncorrected, choice.model)
    ]
    sides = [
        channel_means(model, tensor, context.held_out, layer.output_axis)
        for model, tensor in zip((context.model, uncorrected, choice.model), tensors, strict=True)
    ]
    shift = shifts.layers[layer.name]
    assert shift.before.value == pytest.approx(np.abs(sides[1] - sides[0]).mean(), rel=ROUNDING)
    assert shift.after.value == pytest.approx(np.abs(sides[2] - sides[0]).mean(), rel=ROUNDING)
    total = shifts.total()
    assert total.after.value == pytest.approx(sum(shift.after.value for shift in shifts.layers.values()))
    assert total.after.value < total.before.value


def test_the_standard_error_is_that_of_the_mean_over_batches(chosen):
    choice, uncorrected = chosen
    context = choice.context
    shifts = compare_layers(
        context.graph, uncorrected, choice.model, context.comparable_layers, context.held_out, ignore
    ).shifts
    output = context.model.graph.outputs[0].name
    models = (context.model, uncorrected)
    sides = [Session(ir.to_proto(model).SerializeToString(), fold_weights=True) for model in models]
    batches = [np.subtract(*(side.run(feeds, [output])[0] for side in sides)).mean(axis=0)
               for feeds in context.held_out.halved().batches()]  # fmt: skip
    error = np.std(batches, axis=0, ddof=1) / np.sqrt(len(batches))
    last = shifts.layers[context.comparable_layers[-1].name]
    assert last.before.standard_error == pytest.approx(error.mean(), rel=1e-2)


def test_few_samples_are_run_in_batches_that_give_a_standard_error(chosen):
    choice, _ = chosen
    context = choice.context
    batches = []
    few = context.held_out.spread(MIN_BATCHES)
    compare_layers(context.graph, None, choice.model, context.comparable_layers, few, lambda *_: batches.append(1))
    assert len(batches) == MIN_BATCHES


@pytest.mark.parametrize(
    ("spec", "calibrated", "reason"),
    [
        ({"preset": "int4", "bias_correction": "none"}, True, "no bias was corrected"),
        ({"preset": "int4", "report": "weights"}, True, "the spec asks for a report on the weights alone"),
        ({"preset": "int4-weights"}, False, "without calibration data nothing is measured"),
    ],
)
def test_a_figure_that_is_missing_has_a_reason(examples, tmp_path, spec, calibrated, reason):
    data = [examples / f"digits_{role}.npz" for role in ("calibration", "evaluation")] if calibrated else []
    stages = []
    quantize_model(
        Inputs(examples / "digits.onnx", "m.onnx", spec, *data), tmp_path, lambda stage, *_: stages.append(stage)
    )
    total = json.loads((tmp_path / "report.json").read_text())["total_mean_shift"]
    assert (total["before"], total["reason"]) == (None, reason)
    assert Stage.STORING in stages


def test_one_twin_graph_is_in_memory_at_a_time(chosen, monkeypatch):
    choice, uncorrected = chosen
    context, alive, most = choice.context, WeakSet(), []

    def twin(*arguments, **options):
        most.append(len(alive))
        session, past = twin_session(*arguments, **options)
        alive.add(session)
        return session, past

    monkeypatch.setattr(mean_shift, "twin_session", twin)
    compare_layers(context.graph, uncorrected, choice.model, context.comparable_layers, context.held_out, ignore)
    assert most == [0, 0]
