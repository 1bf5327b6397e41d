"""The data of a job: the batch size that the model takes, labels that fit its classes, suspicious calibration data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quant.calibration.batch_size import BatchSize, Outputs, find_batch_size
from quant.calibration.suspicion import suspicions
from quant.data.dataset import Dataset
from quant.data.findings import DataFinding, incomplete_batches
from quant.data.labels import check_labels
from quant.evaluation.class_scores import classes_by_spec
from quant.evaluation.output_pairs import type_name
from quant.evaluation.states import roll_out
from quant.evaluation.tasks import TaskComparison
from quant.runtime import Session
from quant.spec import Spec


@dataclass(frozen=True)
class CheckedData:
    """The data sets of a job in batches that the model takes; `findings` are what their owner has to know."""

    calibration: Dataset | None
    evaluation: Dataset | None
    findings: tuple[DataFinding, ...] = ()


def check_data(
    session: Session, calibration: Dataset | None, evaluation: Dataset | None, spec: Spec | None = None
) -> CheckedData:
    """Return the data sets in batches that the model of `session` takes, from runs over a few samples.

    Sets of sequences are run as a whole, for the states that the model reaches before every step. With a spec, the
    metrics of the model's task are tried on the first batch of evaluation data.

    Raises:
        ModelError: the model does not run on the first samples.
        InputMismatch: a set has fewer samples than one batch, or a label that is no class of the model; or outputs or
            targets do not have the layout of a metric.
    """
    sets = {"calibration": roll_out(session, calibration), "evaluation": roll_out(session, evaluation)}
    data = sets["calibration"] or sets["evaluation"]
    if data is None:
        return CheckedData(None, None)
    may_hold_classes = spec is None or classes_by_spec(spec, session.outputs[0]) is not False
    has_labels = may_hold_classes and any(data is not None and data.labels is not None for data in sets.values())
    findings: list[DataFinding] = []
    if has_labels or not data.fixed:
        batch_size = find_batch_size(session, data)
        sets = {role: batch_size.applied(data) for role, data in sets.items()}
        findings += _finding(batch_size)
        findings += _check_labels(session, batch_size.outputs, sets) if has_labels else []
    calibration, evaluation = sets["calibration"], sets["evaluation"]
    if spec is not None and evaluation is not None:
        _try_metrics(session, evaluation, spec)
    findings += [*incomplete_batches(sets), *([] if calibration is None else suspicions(calibration, evaluation))]
    return CheckedData(calibration, evaluation, tuple(findings))


def _try_metrics(session: Session, evaluation: Dataset, spec: Spec) -> None:
    """Measure the float model against itself on one batch: what a metric refuses is then known before the work begins.

    Raises:
        InputMismatch: outputs or targets do not have the layout of a metric, or no metric reads the targets.
    """
    if spec.evaluation.metrics is None and not evaluation.targets:
        return
    feeds, truth = next(evaluation.batches()), next(evaluation.truth_batches())
    outputs = session.run(feeds)
    TaskComparison(spec, session.outputs, sequences=session.sequences).add(feeds, outputs, outputs, truth)


def _finding(batch_size: BatchSize) -> list[DataFinding]:
    return [] if batch_size.finding is None else [batch_size.finding]


def _check_labels(session: Session, outputs: Outputs, sets: Mapping[str, Dataset | None]) -> list[DataFinding]:
    """Return a finding where evaluation labels are not used, because the first output has no score for each class.

    Raises:
        InputMismatch: a label is no class of the model.
    """
    labels = {role: data.labels for role, data in sets.items() if data is not None and data.labels is not None}
    if not labels:
        return []
    scores = outputs[0]
    if isinstance(scores, np.ndarray) and scores.ndim == 2 and scores.shape[1] > 1 and scores.dtype.kind == "f":
        for role, values in labels.items():
            check_labels(values, scores.shape[1], role)
        return []
    if "evaluation" not in labels:
        return []
    kind = f"{type_name(scores)} of shape {list(scores.shape)}" if isinstance(scores, np.ndarray) else "no tensor"
    return [
        DataFinding(
            "dataset.labels_unused",
            f"the labels are not used and top-1 accuracy is null: the first output {session.outputs[0]!r} is {kind}; "
            "top-1 takes float scores of shape (samples, classes)",
        )
    ]
