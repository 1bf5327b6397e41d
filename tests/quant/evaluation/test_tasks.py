"""Figures of a task: with the float model and with targets as the reference, with their intervals."""

import numpy as np
import pytest

from quant.data.dataset import Truth
from quant.errors import InputMismatch
from quant.evaluation.tasks import NO_SAMPLES, TaskComparison
from quant.spec import resolve

RNG = np.random.default_rng(0)


def compared(spec, batches, names=("out",), targets=None, labels=None):
    """Return the figures by name of batches of (feeds, expected, actual)."""
    comparison = TaskComparison(resolve({"preset": "int8-weights", "evaluation": spec}), names)
    start = 0
    for feeds, expected, actual in batches:
        window = slice(start, start + len(expected))
        start = window.stop
        truth = Truth(
            len(expected),
            None if labels is None else labels[window],
            {name: list(values[window]) for name, values in (targets or {}).items()},
        )
        comparison.add(feeds, [expected], [actual], truth)
    return {value.name: value for value in comparison.values()}


def in_batches(expected, actual, size=7):
    return [({}, expected[i : i + size], actual[i : i + size]) for i in range(0, len(expected), size)]


def noisy(shape, scale=0.1):
    expected = RNG.normal(size=shape).astype(np.float32)
    return expected, expected + scale * RNG.normal(size=shape).astype(np.float32)


def test_without_targets_the_float_model_is_the_reference():
    expected, actual = noisy((40, 5))
    values = compared({"metrics": ["regression"]}, in_batches(expected, actual))
    value = values["mean_absolute_error"]
    assert value.value == value.loss == pytest.approx(np.abs(expected - actual).mean(), rel=1e-6)
    assert (value.reference, value.float_value, value.samples) == ("float", None, 40)
    assert value.low < value.value < value.high
    assert values["r_squared"].loss == pytest.approx(1 - values["r_squared"].value)


def test_with_targets_both_models_are_compared_with_them():
    expected, actual = noisy((60, 5), 0.3)
    right = expected + 0.2 * RNG.normal(size=expected.shape).astype(np.float32)
    value = compared({"metrics": ["regression"]}, in_batches(expected, actual), targets={"": right})[
        "mean_absolute_error"
    ]
    assert value.reference == "labels"
    assert value.float_value == pytest.approx(np.abs(expected - right).mean(), rel=1e-6)
    assert value.value == pytest.approx(np.abs(actual - right).mean(), rel=1e-6)
    assert value.loss == pytest.approx(value.value - value.float_value)
    assert value.low < value.loss < value.high


def test_shares_have_intervals_of_the_binomial_distribution():
    expected, actual = noisy((30, 70), 0.6)
    groups = RNG.integers(0, 3, 30)
    agreement = compared({}, in_batches(expected, actual))["neighbour_agreement"]
    assert (agreement.interval, agreement.reference) == ("wilson", "float")
    grouped = compared({"metrics": ["retrieval"]}, in_batches(expected, actual), labels=groups)
    assert grouped["neighbour_agreement"].interval == "matched_pairs"
    assert grouped["embedding_cosine"].reference == "float"


def test_the_next_tokens_follow_from_the_input_without_padding():
    ids = RNG.integers(0, 20, (6, 8))
    mask = np.ones((6, 8), np.int64)
    mask[:, 6:] = 0
    expected, actual = noisy((6, 8, 20))
    broken = actual.copy()
    broken[:, 6:] = np.nan  # padded positions never count
    feeds = {"ids": ids, "attention_mask": mask}
    values = compared({}, [(feeds, expected, broken)])
    assert list(values) == ["next_token_agreement", "token_kl", "perplexity"]
    logits = expected[:, :6].astype(np.float64)
    likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    right = np.take_along_axis(likelihood, ids[:, 1:7, None], -1)
    assert values["perplexity"].float_value == pytest.approx(np.exp(-right.mean()), rel=1e-6)
    assert values["token_kl"].value > 0


def test_outputs_without_an_axis_of_samples_have_a_reason():
    value = compared({"metrics": ["retrieval"]}, [({}, np.ones((4, 3), np.float32), np.ones((4, 3), np.float32))])
    assert value["embedding_cosine"].reason is None
    comparison = TaskComparison(resolve({"preset": "int8-weights", "evaluation": {"metrics": ["retrieval"]}}), ("out",))
    comparison.add({}, [np.ones((3, 3))], [np.ones((3, 3))], Truth(4))
    assert {value.reason for value in comparison.values()} == {NO_SAMPLES}


def test_a_figure_that_is_not_finite_has_a_reason():
    expected, actual = noisy((10, 3))
    value = compared({"metrics": ["regression"]}, in_batches(expected, actual * np.nan))["mean_absolute_error"]
    assert value.value is value.low is value.loss is None
    assert "not finite" in value.reason


@pytest.mark.parametrize(("spec", "name"), [({"metrics": []}, ""), ({"metrics": ["regression"]}, "other")])
def test_targets_that_no_metric_reads_are_refused(spec, name):
    array = "targets.other" if name else "targets"
    with pytest.raises(InputMismatch, match=f"no metric reads the array '{array}'; accepted: evaluation.metrics"):
        compared(spec, in_batches(*noisy((4, 3))), targets={name: np.zeros((4, 3))})


def test_an_unknown_output_is_refused():
    with pytest.raises(InputMismatch, match="metric regression: the model has no output 'x'; accepted: out"):
        compared({"metrics": [{"name": "regression", "output": "x"}]}, in_batches(*noisy((4, 3))))
