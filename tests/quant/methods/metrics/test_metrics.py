"""Every registered metric: its figures, perfect predictions, and references by other means."""

from typing import get_args

import numpy as np
import pytest

from quant.errors import InputMismatch
from quant.methods.metrics.base import ShareScorer
from quant.methods.metrics.boxes import Boxes
from quant.methods.metrics.ctc_text import CtcText, edit_distance
from quant.methods.metrics.detection import Detection
from quant.methods.metrics.next_token import NextToken
from quant.methods.metrics.regression import Regression
from quant.methods.metrics.retrieval import Retrieval, nearest_neighbours
from quant.methods.metrics.segmentation import Segmentation
from quant.methods.metrics.speech import Speech, log_spectral_distance, si_snr_db
from quant.methods.registry import TaskMetric, describe_task_metrics
from quant.outcome.task_figures import TASK_FIGURES

RNG = np.random.default_rng(0)
OUTPUTS = {
    "detection": lambda: [np.array([[0, 0, 2, 2], [5, 5, 9, 9.0]]), np.array([0.9, 0.6])],
    "segmentation": lambda: [RNG.normal(size=(3, 4, 4))],
    "retrieval": lambda: [RNG.normal(size=16)],
    "ctc_text": lambda: [RNG.normal(size=(12, 5))],
    "next_token": lambda: [RNG.normal(size=(6, 9))],
    "speech": lambda: [RNG.normal(size=2000)],
    "regression": lambda: [RNG.normal(size=4)],
}


def all_samples(count):
    return np.ones((1, count), np.int64)


@pytest.mark.parametrize("cls", get_args(TaskMetric), ids=lambda cls: cls.__name__)
def test_a_metric_with_a_share_of_samples_tells_which_samples_count(cls):
    assert isinstance(cls().scorer(), ShareScorer) == any(figure.is_share for figure in cls.figures)


@pytest.mark.parametrize("cls", get_args(TaskMetric), ids=lambda cls: cls.__name__)
def test_equal_outputs_have_the_best_value_of_every_figure(cls):
    metric, scorer = cls(), cls().scorer()
    for _ in range(5):
        prediction = metric.decode(OUTPUTS[metric.name]())
        scorer.add(prediction, metric.reference(prediction))
    values = scorer.values(all_samples(5))
    for figure in cls.figures:
        if figure.best is not None and figure.reference != "labels":
            assert values[figure.name][0] == pytest.approx(figure.best, abs=1e-9)


def test_every_figure_has_a_metric_and_is_described():
    figures = [figure for cls in get_args(TaskMetric) for figure in cls.figures]
    assert sorted(figure.name for figure in figures) == sorted(figure.name for figure in TASK_FIGURES)
    entries = describe_task_metrics()
    assert [entry["name"] for entry in entries] == list(OUTPUTS)
    assert all(entry["figures"] and entry["description"].endswith(".") for entry in entries)


def test_regression_against_scikit_learn():
    """The values are of scikit-learn 1.9.1: mean_absolute_error, and r2_score with variance_weighted."""
    rng = np.random.default_rng(1)
    target = rng.normal(size=(20, 3)) * [1, 10, 100]
    prediction = target + rng.normal(size=(20, 3)) * [0.2, 1, 30]
    scorer = Regression().scorer()
    for row, right in zip(prediction, target, strict=True):
        scorer.add(Regression().decode([row]), Regression().target(right))
    values = scorer.values(all_samples(20))
    assert values["mean_absolute_error"][0] == pytest.approx(9.473071078821796)
    assert values["root_mean_square_error"][0] == pytest.approx(18.454307556582076)
    assert values["r_squared"][0] == pytest.approx(0.5775969488700478)


def test_a_constant_reference_has_no_r_squared():
    scorer = Regression().scorer()
    for _ in range(3):
        scorer.add(np.array([1.0, 2.1]), np.array([1.0, 2.0]))
    assert np.isnan(scorer.values(all_samples(3))["r_squared"][0])


def test_mean_iou_against_scikit_learn():
    """The value is that of scikit-learn 1.9.1: jaccard_score with average macro."""
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 4, (5, 8, 8))
    predicted = np.where(rng.random(classes.shape) < 0.7, classes, rng.integers(0, 4, classes.shape))
    scorer = Segmentation().scorer()
    for a, b in zip(predicted, classes, strict=True):
        scorer.add(Segmentation().decode([np.eye(4)[a].transpose(2, 0, 1)]), Segmentation().target(b))
    assert scorer.values(all_samples(5))["mean_iou"][0] == pytest.approx(0.6413678804855275)


def test_positions_that_are_ignored_do_not_count():
    metric, scorer = Segmentation(threshold=0.4), Segmentation().scorer()
    scores = np.array([[[0.9, 0.1], [0.3, 0.5]]])
    scorer.add(metric.decode([scores]), metric.target(np.array([[1, 0], [255, -1]])))
    assert scorer.values(all_samples(1))["mean_iou"][0] == 1
    with pytest.raises(InputMismatch, match="accepted: integer classes"):
        metric.target(np.zeros((2, 2)))
    with pytest.raises(InputMismatch, match=r"a target has shape \[3, 2\]; accepted: \[2, 2\]"):
        scorer.add(metric.decode([scores]), np.zeros((3, 2), np.int64))


def test_the_nearest_neighbour_is_another_sample():
    points = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3.0]])
    np.testing.assert_array_equal(nearest_neighbours(points), [1, 0, 3, 2])


def test_groups_of_a_retrieval():
    metric, scorer = Retrieval(), Retrieval().scorer()
    for embedding, group in zip(np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3.0]]), [4, 4, 5, 6], strict=True):
        scorer.add(metric.decode([embedding]), metric.target(np.array(group)))
    np.testing.assert_array_equal(scorer.hits(), [True, True, False, False])
    assert scorer.values(np.array([[1, 1, 1, 1], [2, 0, 2, 0]]))["neighbour_agreement"] == pytest.approx([0.5, 0.5])
    assert np.isnan(scorer.values(all_samples(1))["neighbour_agreement"][0])
    with pytest.raises(InputMismatch, match="accepted: one integer"):
        metric.target(np.zeros(2))


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("ab", "ab", 0)],
)
def test_known_edit_distances(a, b, edits):
    codes = [np.array([ord(letter) for letter in text], np.int64) for text in (a, b)]
    assert edit_distance(*codes) == edits


def test_repetitions_and_blanks_are_removed():
    scores = np.eye(4)[[0, 1, 1, 0, 1, 2, 2, 3]]
    np.testing.assert_array_equal(CtcText().decode([scores]), [1, 1, 2, 3])
    np.testing.assert_array_equal(CtcText(blank=-1).decode([scores]), [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(CtcText().target(np.array([3, 1, -1, -1])), [3, 1])


def test_texts_have_a_share_of_equal_ones_and_an_error_rate():
    scorer = CtcText().scorer()
    for a, b in (([1, 2, 3], [1, 2, 3]), ([1, 2], [1, 3, 3])):
        scorer.add(np.array(a), np.array(b))
    values = scorer.values(all_samples(2))
    assert (values["text_exact"][0], values["char_error_rate"][0]) == (0.5, 2 / 6)
    np.testing.assert_array_equal(scorer.hits(), [True, False])


def test_tokens_against_plain_formulas():
    rng = np.random.default_rng(3)
    logits, others = rng.normal(size=(2, 4, 7, 11))
    targets = rng.integers(-1, 11, (4, 7))
    metric, to_float, by_target = NextToken(), NextToken().scorer(), NextToken().scorer()
    for x, y, target in zip(logits, others, targets, strict=True):
        to_float.add(metric.decode([y]), metric.decode([x]))
        by_target.add(metric.decode([y]), metric.target(target))
    p, q = (np.exp(z) / np.exp(z).sum(-1, keepdims=True) for z in (logits, others))
    values = to_float.values(all_samples(4))
    assert values["next_token_agreement"][0] == pytest.approx((p.argmax(-1) == q.argmax(-1)).mean())
    assert values["token_kl"][0] == pytest.approx((p * np.log(p / q)).sum(-1).mean())
    counted = targets >= 0
    likelihood = np.log(np.take_along_axis(q, np.maximum(targets, 0)[..., None], -1)[..., 0])[counted].mean()
    assert by_target.values(all_samples(4))["perplexity"][0] == pytest.approx(np.exp(-likelihood))
    with pytest.raises(InputMismatch, match="accepted: 7 tokens below 11"):
        by_target.add(metric.decode([logits[0]]), metric.target(np.full(7, 11)))


def test_si_snr_ignores_scale_and_offset():
    rng = np.random.default_rng(4)
    clean, noise = rng.normal(size=(2, 8000))
    noise -= noise.mean()
    clean -= clean.mean()
    noise -= (noise @ clean) / (clean @ clean) * clean  # orthogonal, so that the ratio is that of the energies
    expected = 10 * np.log10((clean @ clean) / (0.01 * noise @ noise))
    assert si_snr_db(3 * (clean + 0.1 * noise) + 5, clean) == pytest.approx(expected)
    assert si_snr_db(2 * clean, clean) > 150


def test_a_gain_is_a_log_spectral_distance_of_its_decibels():
    waveform = np.random.default_rng(5).normal(size=3000)
    assert log_spectral_distance(10 * waveform, waveform, 256) == pytest.approx(20)
    assert log_spectral_distance(waveform[:100], waveform[:100], 256) == 0
    with pytest.raises(InputMismatch, match="a target has 5 samples; accepted: 4"):
        Speech().scorer().add(np.zeros(4), np.zeros(5))


@pytest.mark.parametrize("metric", [CtcText(), NextToken()])
def test_an_output_of_another_rank_is_refused(metric):
    with pytest.raises(InputMismatch, match=r"name another output in evaluation\.metrics"):
        metric.decode([np.zeros((2, 3, 4))])
    with pytest.raises(InputMismatch, match="a target is float64"):
        metric.target(np.zeros(3))


def test_boxes_below_the_least_score_are_no_reference():
    boxes = Boxes(np.zeros((2, 4)), np.array([0.9, 0.1]), np.zeros(2, np.int64))
    assert len(Detection().reference(boxes).scores) == 1
