"""The diagnosis: one sentence for each kind of result, true of its facts."""

import pytest

from quant.outcome.report.layer import Alternative, ClippedActivation, LayerEntry, LayerOutput, WeightErrors
from quant.outcome.report.sections import ErrorShareBasis, OutputEntry
from quant.outcome.summary import Summary
from quant.report.diagnosis import Findings, diagnose
from quant.spec import resolve


def alternative(change="8 bits", gain=None, more=2_000):
    return Alternative(
        change=change, weight_sqnr_db=40, weight_sqnr_gain_db=24, basis="measured", output_gain_db=gain,
        bytes=4_000, bytes_more=more, spec=f"layers: {change}",
    )  # fmt: skip


def layer(name, share=None, sqnr_db=20.0, changes=(), clipped=None, output_db=None):
    """Return the entry of a layer with the fields that a diagnosis reads."""
    weight = WeightErrors(mae=0, mse=0, sqnr_db=sqnr_db, mae_expected=0, mse_expected=0, expected_reason=None)
    activation = clipped and ClippedActivation(tensor="x", minimum=0, maximum=1, clipped_fraction=clipped, samples=8)
    shifts = dict.fromkeys(
        ("mean_shift_before", "mean_shift_after", "mean_shift_before_standard_error",
         "mean_shift_after_standard_error", "cosine")
    )  # fmt: skip
    output = None if output_db is None else LayerOutput(sqnr_db=output_db, **shifts)
    return LayerEntry.model_construct(
        name=name, op="Conv", weight=weight, error_share=share, alternatives=tuple(changes), activation=activation,
        output=output,
    )  # fmt: skip


def output(identical=False, reason=None):
    return OutputEntry(
        name="y", dtype="float32", samples=100, sqnr_db=None if reason else 20, cosine=None, identical=identical,
        agreement=None, mean_error=None, max_error=None, finite_fraction=1, nonfinite_agreement=None, reason=reason,
    )  # fmt: skip


def diagnosis(layers, *, weights=None, activations=None, everything=None, outputs=None, sqnr_db=None, **options):
    basis = ErrorShareBasis(
        samples=8 if weights else 0, reason=None if weights else "without calibration data nothing is measured",
        weights=weights, activations=activations, all=everything, covered_layers=len(layers),
    )  # fmt: skip
    summary = Summary.model_construct(bytes_before=400_000, bytes_after=100_000, output_sqnr_db=sqnr_db)
    return diagnose(Findings(layers, 3, basis, outputs, summary, resolve({"preset": "int4", **options})))


def many(count, total):
    return [layer(f"rest{number}", total / count) for number in range(count)]


def test_a_few_layers():
    layers = [layer("a", 0.5, changes=[alternative(gain=1.9)]), layer("b", 0.42), *many(18, 0.08)]
    found = diagnosis(layers, weights=0.01)
    assert found.sentence == (
        "92 % of the output error comes from the weights of 2 of 20 layers; keeping `a` at 8 bits would gain about "
        "1.9 dB for 2.0 % of the size."
    )
    assert (found.cause, found.layers, found.change, found.gain_db) == ("few_layers", ("a", "b"), "8 bits", 1.9)
    assert found.spec == "layers: 8 bits"
    assert found.error_share == pytest.approx(0.92)


def test_a_single_layer():
    found = diagnosis([layer("a", 0.97), layer("b", 0.03)], weights=0.01)
    assert found.sentence == "97 % of the output error comes from the weights of `a`."
    assert found.cause == "few_layers"


def test_activations_take_their_part_of_the_error():
    layers = [layer("a", 0.9), *many(9, 0.1)]
    assert diagnosis(layers, weights=0.009, activations=0.001).error_share == pytest.approx(0.81)
    assert diagnosis(layers, weights=0.005, activations=0.0049).cause == "spread"


def test_error_that_no_measured_layer_causes_counts():
    layers = [layer("a", 1.0), layer("in a body")]
    found = diagnosis(layers, weights=0.004, everything=0.01)
    assert found.sentence.startswith("40 % of the output error comes from the weights of 1 layer: `a`, the worst,")


def test_the_share_of_the_worst_layer_is_that_of_the_table():
    found = diagnosis(many(20, 1.0), weights=0.006, activations=0.004)
    expected = "60 % of the output error comes from the weights of 20 layers: `rest0`, the worst, causes 5.0 % of it."
    assert found.sentence == expected
    assert found.error_share == pytest.approx(0.03)


def test_errors_that_do_not_add_up_are_called_so():
    found = diagnosis([layer("a", 0.97), layer("b", 0.03)], weights=0.01, everything=0.001)
    assert found.sentence == "97 % of the error that each part causes alone comes from the weights of `a`."


def test_the_cheapest_change_with_half_of_the_best_gain_is_advised():
    expensive, cheap = alternative("float", gain=2.0, more=50_000), alternative(gain=1.2, more=300)
    found = diagnosis([layer("a", 0.6, changes=[expensive]), layer("b", 0.4, changes=[cheap])], weights=0.01)
    assert found.sentence.endswith("keeping `b` at 8 bits would gain about 1.2 dB for 0.3 % of the size.")
    assert found.bytes_more == 300


def test_a_gain_below_a_tenth_of_a_decibel_is_no_advice():
    found = diagnosis([layer("a", 1.0, changes=[alternative(gain=0.05)])], weights=0.01)
    assert (found.change, found.spec) == (None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [("float", "leaving `a` in float would"), ("a scale per channel", "giving `a` a scale per channel would")],
)
def test_other_changes_read_as_sentences(change, words):
    found = diagnosis([layer("a", 1.0, changes=[alternative(change, gain=3)])], weights=0.01)
    assert words in found.sentence


def test_an_even_error():
    found = diagnosis(many(20, 1.0), weights=0.01)
    assert found.sentence == "The output error is spread over 20 layers: `rest0`, the worst, causes 5.0 % of it."
    assert found.cause == "spread"


def test_activations_that_dominate():
    found = diagnosis(many(20, 1.0), weights=0.001, activations=0.009, sqnr_db=20.0)
    assert found.sentence == (
        "90 % of the output error comes from activations of 8 bits, not from weights; activations of 16 bits may "
        "reduce it, and run slower."
    )
    assert found.spec == "activations:\n  bits: 16\n"


def test_a_non_finite_output():
    reason = "only the quantized model is NaN or infinite at 3 of 800 positions"
    found = diagnosis([layer("a", output_db=3.0), layer("b", output_db=9.0)], outputs=[output(reason=reason)])
    assert found.sentence == (
        f"Output `y`: {reason}; leave `a` in float, whose output has the least SQNR of all layers."
    )
    assert (found.cause, found.layers) == ("non_finite", ("a",))
    assert "skip: true" in found.spec
    assert diagnosis([layer("a")], outputs=[output(reason=reason)]).cause == "non_finite"


def test_clipped_inputs_are_the_cause_where_evaluation_data_are_worse():
    layers = [layer("a", 0.5, clipped=0.3), layer("b", 0.5, clipped=0.01)]
    found = diagnosis(layers, weights=0.01, everything=0.01, sqnr_db=12.0)
    assert found.sentence == (
        "30 % of the values that `a` reads on the evaluation data lie outside of its calibrated range and are clipped; "
        "calibrate with data that is like the evaluation data."
    )
    assert (found.cause, found.layers) == ("clipped_inputs", ("a",))
    assert diagnosis(layers, weights=0.01, everything=0.01, sqnr_db=19.0).cause != "clipped_inputs"


def test_equal_outputs():
    found = diagnosis([layer("a", 1.0)], outputs=[output(identical=True)], weights=0.01)
    assert found.sentence == "Nothing was lost: all outputs equal those of the float model on 100 evaluation samples."
    found = diagnosis([layer("a", sqnr_db=200.0)], preset="int4-weights")
    assert (found.cause, found.sentence) == (
        "exact",
        "Nothing was lost: the quantized weights equal the float weights.",
    )


def test_weights_alone():
    layers = [layer("a", sqnr_db=18.04, changes=[alternative()]), layer("b", sqnr_db=20)]
    found = diagnosis(layers)
    assert found.sentence == (
        "The weights of `a` have the least SQNR, 18.0 dB; keeping `a` at 8 bits would give 40.0 dB there for 2.0 % of "
        "the size."
    )
    assert (found.cause, found.gain_db, found.change) == ("weights_only", None, "8 bits")
    found = diagnosis(layers, sqnr_db=15.2)
    assert found.sentence.startswith("The output SQNR is 15.2 dB; the least SQNR of weights is 18.0 dB, in `a`; ")


def test_nothing_quantized():
    found = diagnosis([])
    assert (found.cause, found.sentence) == ("nothing_quantized", "No layer was quantized: 3 layers remain in float.")


def test_hostile_names_stay_within_one_line():
    name = "a`b\n<script>" + "x" * 500
    found = diagnosis([layer(name, 1.0)], weights=0.01)
    assert "\n" not in found.sentence
    assert found.sentence.count("`") == 2
    assert len(found.sentence) < 200
    assert found.layers == (name,)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"spec": {"preset": "int4"}}, {"few_layers", "spread"}),
        ({"spec": {"preset": "int8"}}, {"few_layers", "spread", "activations"}),
        ({"spec": {"preset": "int8-weights"}, "calibrated": False, "evaluated": False}, {"weights_only"}),
        ({"spec": {"preset": "int4", "report": "weights"}}, {"weights_only"}),
    ],
)
def test_every_job_has_a_diagnosis(report, options, cause):
    written = report(**options)
    assert written.diagnosis.cause in cause
    assert set(written.diagnosis.layers) <= {entry.name for entry in written.layers}
