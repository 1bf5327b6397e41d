"""Callbacks that report the progress of a job."""

from collections.abc import Callable

from quant.outcome.stages import Stage

Progress = Callable[[Stage, int, int, str], None]
"""Called with the stage, the steps completed, the steps in total, and a message."""
StepProgress = Callable[[int, int, str], None]
"""Called with the steps completed, the steps in total, and what is being worked on; the stage is fixed."""
SampleProgress = Callable[[int, int], None]
"""Called with the samples completed and the samples in total; the stage and the subject are fixed."""


def stage_progress(progress: Progress, stage: Stage) -> StepProgress:
    """Return a callback that reports the steps of one stage."""
    return lambda completed, total, message: progress(stage, completed, total, message)


def sample_progress(progress: Progress, stage: Stage) -> SampleProgress:
    """Return a callback that reports the samples of one stage."""
    return lambda completed, total: progress(stage, completed, total, f"{completed} of {total} samples")


def correction_progress(progress: Progress) -> StepProgress:
    """Return a callback that reports which candidate is being corrected or measured, and its samples."""
    return lambda completed, total, subject: progress(
        Stage.CORRECTING, completed, total, f"{subject}, {completed} of {total} samples"
    )


def subject_progress(progress: StepProgress, subject: str) -> SampleProgress:
    """Return a callback that reports the samples of one subject."""
    return lambda completed, total: progress(completed, total, subject)
