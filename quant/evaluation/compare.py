"""A quantized model's outputs beside the float model's, over a whole set."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.evaluation.metrics import OutputComparison
from quant.runtime import Session

Figures = dict[str, float | None]
UNMEASURED: Figures = OutputComparison().figures() | {"output_sqnr_db": None}
"""The figures of a job without evaluation data: each one None."""


def evaluate(
    expected: Iterable[Sequence[NDArray[np.generic]]],
    quantized: Session,
    samples: Dataset,
    progress: Callable[[int, int], None],
) -> OutputComparison:
    """The quantized model's outputs compared with the float model's, which `expected` gives batch by batch.

    Raises:
        ExportError: the quantized model does not run on the data.
    """
    comparison = OutputComparison()
    for feeds, outputs, labels in zip(samples.watched(progress), expected, samples.label_batches(), strict=True):
        comparison.add(list(outputs), quantized.run(feeds), labels)
    return comparison
