"""The ranking of candidates by every output."""

import numpy as np
import pytest

from quant.errors import SpecError
from quant.evaluation.metrics import OutputComparison
from quant.search.ranking import best_position, require_outputs, scores
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
