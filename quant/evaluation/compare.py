"""Evaluation: the outputs of the quantized model compared with the float model's over a data set."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from quant.data.dataset import Dataset
from quant.data.padding import at_real_positions
from quant.evaluation.class_scores import classes_by_spec
from quant.evaluation.metrics import OutputComparison
from quant.evaluation.states import StateRunner
from quant.evaluation.tasks import TaskComparison
from quant.runtime import Session
from quant.spec import Spec


def evaluate(
    expected: Iterable[Sequence[Any]],
    quantized: Session,
    samples: Dataset,
    progress: Callable[[int, int], None],
    random: Container[str] = (),
    *,
    by_channel: bool = False,
    spec: Spec | None = None,
    with_tasks: bool = False,
) -> OutputComparison:
    """Run the quantized model on all samples and compare its outputs with the float model's, without padded positions.

    Args:
        expected: the float model's outputs, batch by batch and in the graph's order, for the batches of `samples`.
        quantized: the quantized model.
        samples: the inputs, with labels if there are any.
        progress: called with the samples completed and the samples in total.
        random: the names of the outputs that depend on random numbers; they have no figures.
        by_channel: True if groups of channels and single samples are compared, too.
        spec: the resolved spec; it says which outputs hold classes, and names metrics.
        with_tasks: True if the figures of the model's task are measured, which needs `spec`.

    Raises:
        ExportError: the quantized model does not run on the data.
        InputMismatch: outputs or targets do not have the layout of a metric.
    """
    names = quantized.outputs
    comparison = OutputComparison(
        names,
        samples.used,
        random=random,
        by_channel=by_channel,
        classes_by_spec=None if spec is None else classes_by_spec(spec, names[0]),
        tasks=TaskComparison(spec, names, random, quantized.sequences) if spec is not None and with_tasks else None,
    )
    runner = StateRunner(quantized, samples)
    for feeds, outputs, truth in zip(samples.watched(progress), expected, samples.truth_batches(), strict=True):
        actual = runner.run(feeds)[1]
        comparison.add(at_real_positions(feeds, outputs), at_real_positions(feeds, actual), truth.labels)
        if comparison.tasks is not None:
            comparison.tasks.add(feeds, list(outputs), actual, truth)
    return comparison
