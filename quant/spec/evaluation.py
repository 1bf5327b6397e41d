"""The section of a spec on the comparison of the outputs with evaluation data."""

from quant.methods.registry import TaskMetricField
from quant.spec.sections import Section


class Evaluation(Section):
    """The comparison of the outputs on evaluation data, and of candidates on held-out calibration samples."""

    outputs: tuple[str, ...] = ()
    """The outputs by which candidates are compared; [] for all. The worst of them decides."""
    metrics: tuple[TaskMetricField, ...] | None = None
    """The metrics of the model's task; null to choose them by the shapes and values of the outputs, [] for none."""
    classes: bool | None = None
    """True if the first output holds a score for each class, which top-1 needs; null to decide by labels and values."""
