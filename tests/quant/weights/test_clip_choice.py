"""The choice of a layer's clip bounds."""

import numpy as np
import pytest

from quant.calibration.input_moments import InferredMoments, InputSample, SecondMoments
from quant.calibration.synthetic_moments import SyntheticMoments
from quant.methods.clipping.minmax import MinMax
from quant.spec import resolve
from quant.weights.clip_choice import UNCLIPPED_NOTE, choose_clipping, rival_section

MEASURED = [
    SecondMoments(np.eye(3)[None], np.zeros((1, 3))),
    InputSample(np.ones((1, 5, 3), np.float32)),
]
INFERRED = InferredMoments(np.eye(3)[None], np.zeros((1, 3)))


def section(clipping="auto", grid="uniform", bits=4, rounding="nearest"):
    weights = {"bits": bits, "grid": grid, "clipping": clipping, "rounding": rounding}
    return resolve({"preset": "int8-weights", "weights": weights}).weights


@pytest.mark.parametrize("corrected", [False, True])
def test_auto_takes_its_own_bounds_if_nothing_is_known_of_the_input(corrected):
    choice = choose_clipping(section(), None, bias_corrected=corrected)
    assert (choice.section, choice.by_output_error, choice.note) == (section(), False, None)


@pytest.mark.parametrize(("bits", "unclipped"), [(8, True), (6, True), (5, False)])
def test_wide_weights_are_not_clipped_if_nothing_is_known_of_the_input(bits, unclipped):
    choice = choose_clipping(section(bits=bits), None, bias_corrected=True)
    assert (choice.section.clipping == MinMax()) == unclipped
    with_data = choose_clipping(section(bits=bits), None, bias_corrected=True, calibrated=True)
    assert with_data.section == section(bits=bits)


@pytest.mark.parametrize(("bits", "unclipped"), [(8, True), (6, True), (4, False)])
def test_error_feedback_by_inferred_moments_clips_narrow_weights(bits, unclipped):
    choice = choose_clipping(section(bits=bits, rounding="expected_feedback"), INFERRED, bias_corrected=True)
    assert choice.by_output_error != unclipped


@pytest.mark.parametrize(("share", "unclipped"), [(1.0, True), (0.5, False)])
def test_four_bits_are_not_clipped_where_error_feedback_rounds_to_nearest(share, unclipped):
    moments = SyntheticMoments.pooled([INFERRED, INFERRED], share)
    choice = choose_clipping(section(rounding="auto"), moments, bias_corrected=True)
    assert choice.by_output_error != unclipped


@pytest.mark.parametrize("moments", MEASURED, ids=["moments", "sample"])
@pytest.mark.parametrize("corrected", [False, True])
def test_auto_minimises_the_output_error_if_the_input_was_measured(moments, corrected):
    choice = choose_clipping(section(), moments, bias_corrected=corrected)
    assert (choice.section, choice.by_output_error, choice.note) == (section(), True, None)


@pytest.mark.parametrize(
    ("grid", "bits", "corrected", "unclipped"),
    [("uniform", 4, True, True), ("uniform", 8, True, True), ("uniform", 2, True, False),
     ("lloyd_max", 4, True, False), ("uniform", 4, False, False)],
)  # fmt: skip
def test_inferred_moments_clip_nothing_behind_a_corrected_bias_at_four_bits_or_more(grid, bits, corrected, unclipped):
    choice = choose_clipping(section(grid=grid, bits=bits), INFERRED, bias_corrected=corrected)
    assert choice.by_output_error != unclipped
    assert (choice.section.clipping == MinMax()) == unclipped
    assert choice.note == (UNCLIPPED_NOTE if unclipped else None)


@pytest.mark.parametrize("clipping", ["minmax", "mae", "empirical_mse"])
@pytest.mark.parametrize("moments", [None, *MEASURED, INFERRED])
def test_any_other_rule_keeps_its_own_bounds(clipping, moments):
    choice = choose_clipping(section(clipping), moments, bias_corrected=True)
    assert (choice.section, choice.by_output_error, choice.note) == (section(clipping), False, None)


def test_only_auto_has_a_rival():
    assert rival_section(section()) == section("minmax")
    assert rival_section(section("mse")) == section("mse")
