"""The range rule that is chosen by the model's output."""

import numpy as np

from quant.methods.ranges.auto import AutoRange
from quant.methods.ranges.mse import MseRange
from tests.quant.methods.ranges.observations import observed


def test_the_candidates_are_rules_with_evidence_that_auto_collects_and_a_lone_tensor_takes_mse():
    values = np.random.default_rng(0).normal(size=(4, 3000))
    seen = observed(AutoRange(), *values)
    assert [rule.name for rule in AutoRange().candidates] == ["minmax", "percentile", "mse"]
    assert all(rule.evidence in ("extremes", AutoRange.evidence) for rule in AutoRange().candidates)
    assert AutoRange().range(seen, 256) == MseRange().range(seen, 256)
