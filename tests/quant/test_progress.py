"""The progress callbacks: what each one fixes and what it passes on."""

import pytest

from quant.outcome.stages import Stage
from quant.progress import correction_progress, sample_progress, stage_progress, subject_progress


@pytest.fixture
def events():
    return []


@pytest.fixture
def progress(events):
    return lambda *event: events.append(event)


def test_stage_progress_fixes_the_stage(progress, events):
    stage_progress(progress, Stage.FITTING)(1, 3, "conv1")
    assert events == [(Stage.FITTING, 1, 3, "conv1")]


def test_sample_progress_counts_samples(progress, events):
    sample_progress(progress, Stage.CALIBRATING)(8, 64)
    assert events == [(Stage.CALIBRATING, 8, 64, "8 of 64 samples")]


def test_correction_progress_names_its_subject(progress, events):
    subject_progress(correction_progress(progress), "MinMax bounds")(8, 64)
    assert events == [(Stage.CORRECTING, 8, 64, "MinMax bounds, 8 of 64 samples")]
