"""The uploaded and the exported model side by side on the evaluation set."""

from collections.abc import Callable

from quant.dataset import Dataset
from quant.metrics import OutputComparison
from quant.runtime import Session

Figures = dict[str, float | None]
UNMEASURED: Figures = OutputComparison().figures() | {"output_sqnr_db": None}
"""The figures of a job without evaluation data: each one None."""


def evaluate(
    reference: Session, quantized: Session, evaluation: Dataset, progress: Callable[[int, int], None]
) -> OutputComparison:
    """The outputs of both models compared over the whole set: SQNR, cosine, top-1, agreement.

    Raises:
        ModelError: the uploaded model does not run on the data.
        ExportError: the exported one does not.
    """
    comparison = OutputComparison()
    done = 0
    for feeds, labels in zip(evaluation.batches(), evaluation.label_batches(), strict=True):
        comparison.add(reference.run(feeds), quantized.run(feeds), labels)
        done = min(done + evaluation.batch, evaluation.used)
        progress(done, evaluation.used)
    return comparison
