"""Outputs that hold scores of classes, and others of the same shape."""

import numpy as np
import pytest

from quant.evaluation.class_scores import are_distributions, are_scores, classes_by_spec
from quant.spec import resolve

RAW = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
PROBABILITIES = np.exp(RAW) / np.exp(RAW).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("output", "name", "by_spec", "labelled", "expected"),
    [
        (RAW, "actions", None, False, False),
        (RAW, "embedding", None, False, False),
        (RAW, "actions", None, True, True),
        (RAW, "actions", True, False, True),
        (RAW, "logits", None, False, True),
        (RAW, "logits", False, True, False),
        (PROBABILITIES, "out", None, False, True),
        (np.log(PROBABILITIES), "out", None, False, True),
        (RAW[:, :1], "logits", True, True, False),
        (RAW[None], "logits", True, True, False),
        (RAW.astype(np.int64), "logits", True, True, False),
    ],
)
def test_the_rule(output, name, by_spec, labelled, expected):
    assert are_scores(output, name, by_spec=by_spec, labelled=labelled) is expected


def test_values_that_are_no_distribution():
    assert not are_distributions(RAW)
    assert not are_distributions(PROBABILITIES * np.nan)
    assert not are_distributions(np.ones((4, 1)))
    assert are_distributions(PROBABILITIES.T, axis=0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"evaluation": {"classes": False}}, False),
        ({"evaluation": {"metrics": ["retrieval"]}}, False),
        ({"evaluation": {"metrics": [{"name": "regression", "output": "first"}]}}, False),
        ({"evaluation": {"metrics": [{"name": "regression", "output": "other"}]}}, None),
        ({"evaluation": {"metrics": ["retrieval"], "classes": True}}, True),
        ({"gates": {"min_top1_agreement": 0.9}}, True),
    ],
)
def test_the_spec_decides_first(options, expected):
    assert classes_by_spec(resolve({"preset": "int8-weights", **options}), "first") is expected
