"""The stages of a running job."""

from enum import StrEnum


class Stage(StrEnum):
    """A stage of a running job, in the order in which stages usually follow each other."""

    LOADING = "loading"
    NORMALISING = "normalising"
    FITTING = "fitting"
    QUANTIZING = "quantizing"
    CALIBRATING = "calibrating"
    CORRECTING = "correcting"
    EXPORTING = "exporting"
    EVALUATING = "evaluating"
    STORING = "storing"
