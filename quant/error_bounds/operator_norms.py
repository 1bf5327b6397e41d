"""Operator norms: upper bounds of the 2-norm of a layer as a linear operator, exact for small matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORK = 3e9
"""Multiplications that one norm may take; a coarser bound is used where it would take more."""
SVD = 10
"""Multiplications for the singular values of an (m, n) matrix, in units of m n min(m, n)."""
ROUNDING = 1 + 1e-9
"""Factor that covers the round-off of float64."""
SINGLE = 1 + 1e-2
"""Factor that covers the round-off of float32 in fourth powers of the widest matrices."""


@dataclass(frozen=True)
class Geometry:
    """Strides and dilations of a convolution along each axis, and the sizes of its padded input."""

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    sizes: tuple[int, ...]


def matrix_norm(matrix: NDArray[np.float64], work: float = WORK) -> float:
    """Return an upper bound of the largest singular value of all matrices (..., O, K).

    The bound is exact up to round-off unless that takes more than `work` multiplications. Then it is the smaller one of
    the Frobenius norm and of Schur's bound sqrt(|A|_1 |A|_inf).
    """
    rows, columns = matrix.shape[-2:]
    if matrix.size * min(rows, columns) * SVD <= work:
        return _largest_singular_value(matrix.reshape(-1, rows, columns))
    size = np.abs(matrix)
    schur = np.sqrt(size.sum(axis=-1).max(axis=-1) * size.sum(axis=-2).max(axis=-1))
    return ROUNDING * float(np.minimum(schur, np.linalg.norm(matrix, axis=(-2, -1))).max())


def convolution_norm(kernel: NDArray[np.float64], geometry: Geometry, work: float = WORK) -> float:
    """Return an upper bound of the 2-norm of a convolution with `kernel` (G, O, I, *k) over inputs of `geometry.sizes`.

    The convolution is part of a circular convolution over its padded input. The norm of that one is the largest
    singular value over all frequencies of the kernel's transform (Sedghi et al., 2019). With stride s, the s phases of
    the input count as separate channels. If this takes more than `work` multiplications, the bound is the smaller one
    of Schur's bound sqrt(|A|_1 |A|_inf) and of sqrt(prod ceil(k / s)) times the norm of the unfolded matrix. See
    docs/methods.md, "Error bounds".
    """
    phases = _phases(kernel, geometry)
    spatial = phases.shape[3:]
    torus = [
        1 if size == 1 else max(-(-length // stride), size)
        for size, length, stride in zip(spatial, geometry.sizes, geometry.strides, strict=True)
    ]
    groups, outputs, inputs = phases.shape[:3]
    frequencies = int(np.prod(torus[:-1]) * (torus[-1] // 2 + 1))
    least, most = min(outputs, inputs), max(outputs, inputs)
    if groups * frequencies * least**2 * (most + SVD * least) > work:
        return _coarse_norm(kernel, phases, work)
    return _largest_singular_value(_transform(phases, torus).reshape(-1, outputs, inputs))


def _transform(kernel: NDArray[np.float64], torus: Sequence[int]) -> NDArray[np.complex128]:
    """Return the Fourier transform (*f, G, O, I) of a kernel (G, O, I, *k) on a torus.

    Frequencies whose transform is the conjugate of another one are left out. A product with the few waves of each axis
    is faster than an FFT, which would transform many zeros.
    """
    transform: NDArray[Any] = kernel
    for axis in range(len(torus))[::-1]:
        count = torus[axis] if axis < len(torus) - 1 else torus[axis] // 2 + 1
        places, frequencies = np.arange(transform.shape[-1]), np.arange(count)
        waves = np.exp(-2j * np.pi / torus[axis] * np.outer(frequencies, places))
        transform = np.tensordot(waves, transform, (1, transform.ndim - 1))
    return transform


def _largest_singular_value(matrices: NDArray[np.inexact[Any]]) -> float:
    """Return the largest singular value of all matrices (F, m, n), rounded up; infinite if an entry is not finite.

    It is the root of the largest eigenvalue of G, the smaller one of A A* and A* A. That eigenvalue is at most
    |G^2|_F^(1/2). Computed in float32, this bound excludes nearly all matrices once one eigenvalue is known.
    """
    unit = float(np.abs(matrices).max(initial=0.0))
    if unit == 0 or not np.isfinite(unit):
        return 0.0 if unit == 0 else np.inf
    matrices = matrices / unit  # fourth powers of the entries must not overflow
    if 1 in matrices.shape[-2:]:
        return ROUNDING * unit * float(np.linalg.norm(matrices, axis=(-2, -1)).max())
    products = _products(matrices.astype(np.complex64 if np.iscomplexobj(matrices) else np.float32))
    bounds = SINGLE * np.sqrt(np.linalg.norm(products @ products, axis=(-2, -1)))
    first = bounds.argmax()
    largest = np.linalg.eigvalsh(_products(matrices[first]))[-1]
    others = (bounds >= largest) & (np.arange(len(bounds)) != first)
    if others.any():
        largest = max(largest, np.linalg.eigvalsh(_products(matrices[others]))[:, -1].max())
    return ROUNDING * unit * float(np.sqrt(max(largest, 0.0)))


def _products(matrices: NDArray[np.inexact[Any]]) -> NDArray[np.inexact[Any]]:
    """Return A A* or A* A of each matrix (..., m, n), whichever is smaller."""
    adjoint = matrices.conj().swapaxes(-1, -2)
    return matrices @ adjoint if matrices.shape[-2] <= matrices.shape[-1] else adjoint @ matrices


def _coarse_norm(kernel: NDArray[np.float64], phases: NDArray[np.float64], work: float) -> float:
    """Return the smaller one of Schur's bound and the bound by the unfolded matrix."""
    size = np.abs(phases)
    spatial = tuple(range(3, phases.ndim))
    into_output = size.sum(axis=(2, *spatial)).max(axis=1)
    from_input = size.sum(axis=(1, *spatial)).max(axis=1)
    schur = float(np.sqrt(into_output * from_input).max())
    unfolded = float(np.sqrt(np.prod(phases.shape[3:]))) * matrix_norm(kernel.reshape(*kernel.shape[:2], -1), work)
    return ROUNDING * min(schur, unfolded)


def _phases(kernel: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Return the kernel (G, O, I * prod s, *ceil(k / s)) that acts with stride 1 on the phases of the input."""
    groups, outputs, inputs = kernel.shape[:3]
    extents = [(k - 1) * d + 1 for k, d in zip(kernel.shape[3:], geometry.dilations, strict=True)]
    lengths = [-(-extent // s) for extent, s in zip(extents, geometry.strides, strict=True)]
    spread = np.zeros((groups, outputs, inputs, *(n * s for n, s in zip(lengths, geometry.strides, strict=True))))
    spread[_every([0] * len(extents), geometry.dilations, extents)] = kernel
    starts = product(*(range(stride) for stride in geometry.strides))
    parts = [spread[_every(start, geometry.strides, spread.shape[3:])] for start in starts]
    return np.concatenate(parts, axis=2)


def _every(starts: Sequence[int], steps: Sequence[int], ends: Sequence[int]) -> tuple[Any, ...]:
    """Return the index of every n-th entry along the last axes."""
    return (..., *(slice(*bounds) for bounds in zip(starts, ends, steps, strict=True)))
