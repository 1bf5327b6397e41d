"""Callbacks that report the progress of a job."""

from collections.abc import Callable

from quant.outcome.stages import Stage

Progress = Callable[[Stage, int, int, str], None]
"""Called with stage, steps done, steps in all, and what is being worked on."""
Samples = Callable[[int, int, str], None]
"""Called with samples done, samples in all, and what is being tried."""


def sample_progress(progress: Progress, stage: Stage) -> Callable[[int, int], None]:
    """What tells of samples done and samples in all as steps of a stage."""
    return lambda done, total: progress(stage, done, total, f"{done} of {total} samples")


def correction_progress(progress: Progress) -> Samples:
    """The same for what is measured or corrected, as steps of one stage."""
    return lambda done, total, what: progress(Stage.CORRECTING, done, total, f"{what}, {done} of {total} samples")
