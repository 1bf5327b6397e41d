"""The ranking of candidates by every output."""

import numpy as np
import pytest

from quant.errors import SpecError
from quant.evaluation.metrics import OutputComparison
from quant.search.ranking import best_position, gain, require_outputs, scores
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
BOXES = RNG.uniform(0, 640, (4, 50, 4)).astype(np.float32)
SCORES = RNG.uniform(0, 1, (4, 50, 2)).astype(np.float32)


def compared(expected, actual, names=("boxes", "scores")):
    comparison = OutputComparison(names[: len(expected)], 4, by_channel=True)
    comparison.add(expected, actual, None)
    return comparison


def noisy(values, relative, seed=1):
    noise = np.random.default_rng(seed).normal(scale=relative, size=values.shape) * np.sqrt(np.mean(values**2))
    return (values + noise).astype(np.float32)


def test_a_small_output_is_not_sacrificed_for_a_large_one():
    careful = compared([BOXES, SCORES], [noisy(BOXES, 0.02), noisy(SCORES, 0.02)])
    useless = compared([BOXES, SCORES], [noisy(BOXES, 0.01), noisy(SCORES, 0.5)])
    assert useless.sqnr_db > careful.sqnr_db
    assert best_position([scores(useless), scores(careful)]) == 1
    assert best_position([scores(useless, ["boxes"]), scores(careful, ["boxes"])]) == 0


@pytest.mark.parametrize("axis", [1, 2])
def test_concatenated_outputs_are_compared_by_groups_of_channels(axis):
    def joined(boxes, classes):
        both = np.concatenate([boxes, classes], axis=2)
        return both if axis == 2 else np.moveaxis(both, 2, 1)

    float_output = joined(BOXES, SCORES)
    careful = compared([float_output], [joined(noisy(BOXES, 0.02), noisy(SCORES, 0.02))])
    useless = compared([float_output], [joined(noisy(BOXES, 0.01), noisy(SCORES, 0.5))])
    assert list(scores(careful)) == ["boxes", "boxes, channels of small range", "boxes, channels of large range"]
    assert best_position([scores(useless), scores(careful)]) == 1


def test_an_output_that_is_nearly_exact_does_not_decide():
    exact = compared([BOXES, SCORES], [BOXES, noisy(SCORES, 0.2)])
    better = compared([BOXES, SCORES], [noisy(BOXES, 1e-3), noisy(SCORES, 0.1)])
    assert best_position([scores(exact), scores(better)]) == 1


def test_an_output_that_becomes_nan_is_the_worst():
    broken = compared([BOXES, SCORES], [BOXES, np.full_like(SCORES, np.nan)])
    poor = compared([BOXES, SCORES], [noisy(BOXES, 0.5), noisy(SCORES, 0.5)])
    assert scores(broken)["scores"] == -np.inf
    assert best_position([scores(broken), scores(poor)]) == 1


def test_without_quantities_outputs_rank_by_their_agreement():
    classes = RNG.integers(0, 10, 40)
    worse = np.where(np.arange(40) < 10, classes + 1, classes)
    good, bad = (compared([classes, classes > 3], [actual, classes > 3], ("a", "b")) for actual in (classes, worse))
    assert scores(bad) == {"a": 75, "b": 100}
    assert best_position([scores(bad), scores(good)]) == 1


def test_an_output_that_the_model_lacks_is_refused_at_its_place():
    model = model_of("net (float[N] x) => (float[N] y) { y = Relu (x) }")
    require_outputs(model, ["y"])
    with pytest.raises(SpecError, match="no output 'z'; accepted: y") as refused:
        require_outputs(model, ["y", "z"])
    assert [fault.pointer for fault in refused.value.errors] == ["/evaluation/outputs/1"]


@pytest.mark.parametrize("of", [[{}, {}], [{"y": 3.0}, {"y": 3.0}], [{"y": -np.inf}, {"y": -np.inf}]])
def test_of_equal_candidates_the_first_is_taken(of):
    assert best_position(of) == 0


def outputs_of(noise, seed=1):
    """Return the comparison of an output of 16 samples with noise of these standard deviations."""
    values = np.random.default_rng(seed).normal(size=(16, 32)).astype(np.float32)
    errors = np.random.default_rng(seed + 1).normal(size=(16, 32)) * np.asarray(noise)[..., None]
    comparison = OutputComparison(["y"], 16, by_channel=True)
    comparison.add([values], [(values + errors).astype(np.float32)], None)
    return comparison


def test_a_gain_on_all_samples_is_clear():
    better = gain([outputs_of(np.full(16, 0.1))], [outputs_of(np.full(16, 0.2))])
    assert better.db == pytest.approx(6.02, abs=0.1)
    assert better.is_clear(0.5)
    assert not better.is_clear(7)
    assert not gain([outputs_of(np.full(16, 0.2))], [outputs_of(np.full(16, 0.1))]).is_clear()


def test_a_gain_on_one_sample_among_losses_is_not_clear():
    rare, common = np.full(16, 0.1), np.full(16, 0.12)
    rare[3] = 0.3
    chance = gain([outputs_of(common)], [outputs_of(rare)])
    assert 0 < chance.db < chance.standard_error
    assert not chance.is_clear()


def test_of_two_measurements_the_worse_counts():
    candidate, good, poor = (outputs_of(np.full(16, noise)) for noise in (0.1, 0.1, 0.2))
    assert gain([candidate], [good, poor]).db == gain([candidate], [poor]).db
    assert gain([candidate, poor], [good]).db == gain([poor], [good]).db


def test_one_sample_has_no_uncertainty_and_no_clear_gain():
    single = OutputComparison(["y"], 1, by_channel=True)
    single.add([np.ones((1, 4), np.float32)], [np.full((1, 4), 1.1, np.float32)], None)
    assert not gain([single], [single]).is_clear()
    assert gain([single], [single]).standard_error == np.inf
