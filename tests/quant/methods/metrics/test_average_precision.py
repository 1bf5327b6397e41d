"""Mean average precision against pycocotools 2.0.11 on random boxes."""

import numpy as np
import pytest

from quant.methods.metrics.average_precision import AveragePrecision
from quant.methods.metrics.boxes import Boxes


def scene(images=6):
    """Yield the boxes and classes of the reference, then boxes, classes and scores of a detector, for every image."""
    rng = np.random.default_rng(0)
    for _ in range(images):
        count = int(rng.integers(1, 6))
        low = rng.uniform(0, 80, (count, 2))
        reference = np.concatenate([low, low + rng.uniform(10, 40, (count, 2))], 1)
        classes = rng.integers(0, 3, count)
        noisy = reference + rng.normal(0, 2.5, reference.shape)
        chosen = np.where(rng.random(count) < 0.85, classes, (classes + 1) % 3)
        scores = rng.uniform(0.3, 1, count)
        false = int(rng.integers(0, 4))
        corner = rng.uniform(0, 80, (false, 2))
        others = np.concatenate([corner, corner + rng.uniform(10, 40, (false, 2))], 1)
        chosen, scores = (
            np.concatenate([chosen, rng.integers(0, 3, false)]),
            np.concatenate([scores, rng.uniform(0, 0.8, false)]),
        )
        yield reference, classes, np.concatenate([noisy, others]), chosen, scores


def scored(images):
    scorer = AveragePrecision()
    for reference, classes, boxes, chosen, scores in images:
        scorer.add(Boxes.of(boxes, scores, chosen), Boxes(reference, np.ones(len(reference)), classes))
    return scorer


def test_it_is_that_of_coco():
    values = scored(scene()).values(np.ones((1, 6), np.int64))
    assert values["map"][0] == pytest.approx(0.3592664266426642, abs=1e-9)
    assert values["map50"][0] == pytest.approx(0.7483498349834984, abs=1e-9)


def test_multiplicities_count_as_images_that_are_given_again():
    images = list(scene(3))
    twice = scored([images[0], images[2], images[2]]).values(np.ones((1, 3), np.int64))
    counted = scored(images).values(np.array([[1, 0, 2]]))
    assert counted["map"] == pytest.approx(twice["map"])


def test_without_any_reference_there_is_no_precision():
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    scorer = AveragePrecision()
    scorer.add(Boxes(np.array([[0.0, 0, 1, 1]]), np.ones(1), np.zeros(1, np.int64)), nothing)
    assert np.isnan(scorer.values(np.ones((1, 1), np.int64))["map"])
