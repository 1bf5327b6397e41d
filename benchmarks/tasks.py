"""The task of each network: its main output, and the figure that its users care about.

A metric compares the main outputs of the float and the quantized model on the same samples. Its first result is for
the float model, its second for the quantized one. Agreements are 1 for the float model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64] | None
Metric = Callable[[list[NDArray[Any]], list[NDArray[Any]], Labels], tuple[float, float]]
BLANK = 0
"""The class of CTC that stands for no character."""
CENTS = 50
"""The largest error of a correct pitch, as in raw pitch accuracy (Poliner et al., 2007)."""


@dataclass(frozen=True)
class Task:
    """The metric's name in `METRICS`, and the name of the main output; None for the first."""

    metric: str
    output: str | None = None


def cosine(expected: list[NDArray[Any]], actual: list[NDArray[Any]], _: Labels) -> tuple[float, float]:
    """Return the mean cosine similarity of both models' outputs for a sample."""
    pairs = [(np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64)) for x, y in _rows(expected, actual)]
    norms = [(x @ y) / max(np.sqrt((x @ x) * (y @ y)), 1e-300) for x, y in pairs]
    return 1.0, float(np.mean(norms))


def top1(expected: list[NDArray[Any]], actual: list[NDArray[Any]], labels: Labels) -> tuple[float, float]:
    """Return the share of samples whose class is the label; without labels, that of the float model's class."""
    chosen = [np.concatenate(side).argmax(axis=-1).reshape(-1) for side in (expected, actual)]
    right = chosen[0] if labels is None else labels
    return float((chosen[0] == right).mean()), float((chosen[1] == right).mean())


def neighbours(expected: list[NDArray[Any]], actual: list[NDArray[Any]], _: Labels) -> tuple[float, float]:
    """Return the share of samples whose nearest other sample, by cosine, is the float model's."""
    nearest = []
    for side in (expected, actual):
        vectors = np.concatenate(side).astype(np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        similar = vectors @ vectors.T
        np.fill_diagonal(similar, -np.inf)
        nearest.append(similar.argmax(axis=1))
    return 1.0, float((nearest[0] == nearest[1]).mean())


def equal_text(expected: list[NDArray[Any]], actual: list[NDArray[Any]], _: Labels) -> tuple[float, float]:
    """Return the share of samples with the float model's text, decoded greedily by CTC from (samples, T, classes)."""
    texts = [[_ctc(row) for batch in side for row in batch.argmax(axis=-1)] for side in (expected, actual)]
    return 1.0, float(np.mean([x == y for x, y in zip(*texts, strict=True)]))


def pitch(expected: list[NDArray[Any]], actual: list[NDArray[Any]], _: Labels) -> tuple[float, float]:
    """Return the share of frames whose frequency is within `CENTS` of the float model's."""
    float_hz, quantized_hz = (np.concatenate([np.ravel(batch) for batch in side]) for side in (expected, actual))
    cents = 1200 * np.abs(np.log2(np.maximum(quantized_hz, 1e-9) / np.maximum(float_hz, 1e-9)))
    return 1.0, float((cents <= CENTS).mean())


def explained(expected: list[NDArray[Any]], actual: list[NDArray[Any]], _: Labels) -> tuple[float, float]:
    """Return the share of the float outputs' variance that the quantized outputs explain (R2)."""
    x, y = (np.concatenate(side).astype(np.float64) for side in (expected, actual))
    return 1.0, float(1 - ((x - y) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum())


METRICS: Mapping[str, Metric] = {
    "cosine": cosine,
    "top-1": top1,
    "same neighbour": neighbours,
    "equal text": equal_text,
    "same pitch": pitch,
    "R2": explained,
}
TASKS = {
    "minilm_l3_v5k": Task("same neighbour", "461"),
    "resemblyzer": Task("same neighbour"),
    "ppocr4_rec": Task("equal text"),
    "mamba": Task("top-1"),
    "swift_f0": Task("same pitch"),
    "g1_policy": Task("R2"),
}
"""The tasks of networks without labels; the others are judged by `top-1` with labels, and by `cosine` without."""


def task_of(name: str, *, labelled: bool) -> Task:
    """Return the task of a network by the name of its file."""
    return TASKS.get(name, Task("top-1" if labelled else "cosine"))


def _ctc(classes: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the classes without repetitions and blanks."""
    changed = np.concatenate(([True], classes[1:] != classes[:-1]))
    return tuple(int(number) for number in classes[changed & (classes != BLANK)])


def _rows(expected: list[NDArray[Any]], actual: list[NDArray[Any]]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return both models' outputs of each sample."""
    batches = zip(expected, actual, strict=True)
    return [pair for x, y in batches for pair in (zip(x, y, strict=True) if x.ndim else [(x, y)])]
