"""Reconstruction of a model: kept where held-out samples agree, with the same bytes for the same job."""

from dataclasses import replace

import onnx_ir as ir
import pytest

from quant.search.candidates import Candidate, MeasuredCandidate, measure
from quant.search.decide import choose, quantize_weights
from quant.search.reconstruction import reconstruct
from quant.weights.layers import round_to_nearest


def ignore(*_):
    """Ignore progress."""


@pytest.fixture(scope="module")
def choice(context):
    """Return the digits network in four levels, whose rounding asks for reconstruction."""
    weights = {"bits": 2, "grid": "mid_rise", "clipping": "mse", "rounding": "reconstruct"}
    calibrated = context({"preset": "int4", "weights": weights, "bias_correction": "none"})
    choice = choose(calibrated, quantize_weights(calibrated, ignore), ignore)
    spec = calibrated.spec.model_copy(update={"bias_correction": "auto"})
    return replace(choice, context=replace(calibrated, spec=spec))


def sqnr_db(choice):
    """Return the output SQNR of a choice on held-out samples."""
    candidate = Candidate(choice.name, choice.option, list(choice.layers), choice.model, choice.shifts)
    return measure(choice.context, candidate, ignore).sqnr_db


def test_the_model_gets_better_and_the_same_job_gives_the_same_bytes(choice):
    after = reconstruct(choice, ignore)
    assert after.name == choice.name + ", reconstructed"
    assert sqnr_db(after) == after.compared[after.name] > sqnr_db(choice) == after.compared[choice.name]
    assert all("rounded again" in layer.notes[-1] for layer in after.layers)
    again = reconstruct(choice, ignore)
    assert ir.to_proto(again.model).SerializeToString() == ir.to_proto(after.model).SerializeToString()


def test_a_choice_that_was_compared_is_not_measured_again_and_gives_the_same_bytes(choice):
    compared = choice.with_candidate(measure(choice.context, choice.candidate, ignore), choice.name, {})
    assert isinstance(compared.candidate, MeasuredCandidate)
    assert measure(choice.context, compared.candidate, ignore) == compared.candidate
    after, other = reconstruct(compared, ignore), reconstruct(choice, ignore)
    assert (after.name, after.compared) == (other.name, other.compared)
    assert ir.to_proto(after.model).SerializeToString() == ir.to_proto(other.model).SerializeToString()


def test_a_model_that_would_get_worse_or_too_large_stays_as_it_is(choice, monkeypatch):
    assert reconstruct(replace(choice, max_bytes=1), ignore).model is choice.model
    monkeypatch.setattr("quant.search.reconstruction.bias_shift", lambda layer, rows: 5 * rows.outputs.mean(axis=0))
    kept = reconstruct(choice, ignore)
    assert kept.model is choice.model
    assert kept.compared[choice.name] > kept.compared[choice.name + ", reconstructed"]


def test_biases_stay_where_the_spec_says_so_and_other_roundings_are_final(choice):
    spec = choice.context.spec.model_copy(update={"bias_correction": "none"})
    assert reconstruct(replace(choice, context=replace(choice.context, spec=spec)), ignore).shifts == {}
    nearest = [replace(layer, spec=round_to_nearest(layer.spec)) for layer in choice.layers]
    plain = replace(choice, layers=nearest)
    assert reconstruct(plain, ignore) is plain
