"""The uploaded and the exported model side by side on the evaluation set."""

from collections.abc import Callable

from quant.dataset import Dataset
from quant.metrics import OutputComparison
from quant.runtime import Session

Figures = dict[str, float | None]
UNMEASURED: Figures = OutputComparison().figures(labelled=False) | {"output_sqnr_db": None}
"""The figures of a job without evaluation data: each one None."""


def evaluate(
    reference: Session, quantized: Session, evaluation: Dataset, progress: Callable[[int, int], None]
) -> Figures:
    """Output SQNR and cosine, top-1 of both models (percent) and their agreement (fraction).

    Raises:
        ModelError: the uploaded model does not run on the data.
        ExportError: the exported one does not.
    """
    comparison = OutputComparison()
    done = 0
    for feeds in evaluation.batches():
        until = min(done + evaluation.batch, evaluation.used)
        labels = None if evaluation.labels is None else evaluation.labels[done:until]
        comparison.add(reference.run(feeds), quantized.run(feeds), labels)
        done = until
        progress(done, evaluation.used)
    return comparison.figures(labelled=evaluation.labels is not None)
