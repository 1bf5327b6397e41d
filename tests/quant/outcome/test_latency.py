"""The latency of both models in a job's record."""

import pytest
from pydantic import ValidationError

from quant.outcome.latency import Latency, Timing

TIMING = {"threads": 1, "batch": 8, "median_ms": 1.0, "quartiles_ms": (0.9, 1.1), "runs": 20}


@pytest.mark.parametrize(
    "changes",
    [{"median_ms": 0}, {"median_ms": float("nan")}, {"quartiles_ms": (1, -1)}, {"threads": 0}, {"runs": 0}],
)
def test_impossible_timings_are_refused(changes):
    with pytest.raises(ValidationError):
        Timing.model_validate(TIMING | changes)


def test_both_models_need_equally_many_timings():
    with pytest.raises(ValidationError, match="equally many"):
        Latency(float=(Timing.model_validate(TIMING),), quantized=(), ratio=None)
