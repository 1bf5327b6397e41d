"""Padding: the positions of token sequences that an attention mask marks as unused.

What a transformer computes at these positions is not used, and may lie far outside of the range of the real tokens.
Samples are cut to their real tokens where the model takes other lengths. Where it does not, the padded positions of its
tensors are left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.data.sources import Ragged

MASK = "attention_mask"
"""The name of the input (N, T) that is zero at padding, as the common exporters of transformers call it."""


def without_padding(dataset: Dataset, graph: ir.Graph) -> Dataset:
    """Return the samples cut to their real tokens, those of one length together, or the set itself.

    It can be done if the model takes sequences of any length T, all inputs have the shape (N, T), and the padding of
    each sample lies at its end.
    """
    tokens = {value.name for value in graph.inputs if value.shape is not None and _is_free(value.shape)}
    plain = dataset.part is None and not (dataset.fixed or dataset.runs or dataset.sequences)
    if MASK not in dataset.inputs or not plain or not dataset.samples_first or set(dataset.inputs) - tokens:
        return dataset
    values = {name: source.batch(slice(0, dataset.samples)) for name, source in dataset.sources.items()}
    lengths = _lengths(values[MASK])
    if lengths is None or any(value.shape != values[MASK].shape for value in values.values()):
        return dataset
    _, kinds, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    order = np.lexsort((-lengths, -counts[kinds]))  # the most frequent length first
    return replace(
        dataset,
        inputs={
            name: Ragged(tuple(value[number, : lengths[number]] for number in order), 0)
            for name, value in values.items()
        },
        labels=None if dataset.labels is None else dataset.labels[order],
        targets={name: [targets[number] for number in order] for name, targets in dataset.targets.items()},
        runs=tuple(int(end) for end in np.cumsum(np.sort(counts)[::-1])),
    )


def real_positions(feeds: Mapping[str, NDArray[np.generic]]) -> NDArray[np.bool_] | None:
    """Return the positions of a batch (N, T) that hold real tokens; None without padding, or without real tokens."""
    mask = feeds.get(MASK)
    if mask is None or mask.ndim != 2 or not np.isin(mask, (0, 1)).all():
        return None
    real = mask != 0
    return real if real.any() and not real.all() else None


def at_real_positions(feeds: Mapping[str, NDArray[np.generic]], values: Iterable[Any]) -> list[Any]:
    """Return the values of some tensors for one batch without the positions that are padding in its feeds."""
    real = real_positions(feeds)
    return list(values) if real is None else [without_padded_positions(value, real) for value in values]


def without_padded_positions(value: Any, real: NDArray[np.bool_]) -> Any:
    """Return the R real positions of a tensor, or the value itself if no axis is known to be that of the positions.

    A tensor (N, T, K) becomes (1, R, K) and a matrix (N * T, K) becomes (R, K). Of tensors of 4 axes, as in attention,
    (N, heads, T, K) becomes (1, heads, R, K) and (N, heads, K, T) becomes (1, heads, K, R). A matrix (N, T) stays as it
    is: its second axis may be one of T channels.

    Args:
        value: the value of a tensor; one that is no array stays as it is.
        real: the real positions, (N, T).
    """
    samples, positions = real.shape
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 3 and value.shape[:2] == real.shape:
        return value[real][None]
    if value.ndim == 2 and len(value) == real.size:
        return value[real.reshape(-1)]
    axes = [axis for axis in (2, 3) if value.ndim == 4 and value.shape[axis] == positions]
    if len(axes) != 1 or len(value) != samples:
        return value
    rows = np.moveaxis(value, axes[0], 1)[real]  # (R, heads, K)
    return np.moveaxis(rows, 0, axes[0] - 1)[None]


def _is_free(shape: ir.Shape) -> bool:
    """Return True for a shape of samples and positions whose numbers are both free."""
    return len(shape) == 2 and not any(isinstance(size, int) for size in shape)


def _lengths(mask: NDArray[np.generic]) -> NDArray[np.int64] | None:
    """Return the number of real tokens of each sample (N,); None without padding, and for padding elsewhere."""
    real = mask != 0
    lengths: NDArray[np.int64] = real.sum(axis=1)
    at_end = bool((real == (np.arange(mask.shape[1]) < lengths[:, None])).all())
    return lengths if at_end and lengths.min() > 0 and lengths.min() < mask.shape[1] else None
