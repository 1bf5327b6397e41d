"""Evaluation: the outputs of the quantized model compared with the float model's over a data set."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from quant.data.dataset import Dataset
from quant.evaluation.metrics import OutputComparison
from quant.evaluation.states import StateRunner
from quant.runtime import Session


def evaluate(
    expected: Iterable[Sequence[Any]],
    quantized: Session,
    samples: Dataset,
    progress: Callable[[int, int], None],
    random: Container[str] = (),
    *,
    by_channel: bool = False,
) -> OutputComparison:
    """Run the quantized model on all samples and compare its outputs with the float model's.

    Args:
        expected: the float model's outputs, batch by batch and in the graph's order, for the batches of `samples`.
        quantized: the quantized model.
        samples: the inputs, with labels if there are any.
        progress: called with the samples completed and the samples in total.
        random: the names of the outputs that depend on random numbers; they have no figures.
        by_channel: True if groups of channels are compared, too.

    Raises:
        ExportError: the quantized model does not run on the data.
    """
    comparison = OutputComparison(quantized.outputs, samples.used, random=random, by_channel=by_channel)
    runner = StateRunner(quantized, samples)
    for feeds, outputs, labels in zip(samples.watched(progress), expected, samples.label_batches(), strict=True):
        comparison.add(list(outputs), runner.run(feeds)[1], labels)
    return comparison
