"""Operator norms against the singular values of the operator written out as a matrix."""

import numpy as np
import pytest

from quant.error_bounds.operator_norms import WORK, Geometry, convolution_norm, matrix_norm


def written_out(kernel, strides, dilations, sizes, pads):
    """The convolution of an unpadded input of `sizes` as a dense matrix, one basis image after the other."""
    groups, outputs, inputs = kernel.shape[:3]
    shape = (groups * inputs, *sizes)
    rows = []
    for index in range(int(np.prod(shape))):
        image = np.zeros(shape)
        image.reshape(-1)[index] = 1
        padded = np.pad(image, [(0, 0), *((p, p) for p in pads)])
        counts = [
            (padded.shape[1 + a] - (kernel.shape[3 + a] - 1) * dilations[a] - 1) // strides[a] + 1 for a in (0, 1)
        ]
        result = np.zeros((groups, outputs, *counts))
        for i in range(kernel.shape[3]):
            for j in range(kernel.shape[4]):
                top, left = i * dilations[0], j * dilations[1]
                part = padded[:, top : top + strides[0] * (counts[0] - 1) + 1 : strides[0],
                              left : left + strides[1] * (counts[1] - 1) + 1 : strides[1]]  # fmt: skip
                part = part.reshape(groups, inputs, *counts)
                result += np.einsum("goi,gihw->gohw", kernel[:, :, :, i, j], part)
        rows.append(result.reshape(-1))
    return np.array(rows)


CASES = [
    ((1, 3, 2, 3, 3), (1, 1), (1, 1), (7, 6), (1, 1)),
    ((1, 3, 2, 3, 3), (2, 2), (1, 1), (8, 7), (1, 1)),
    ((1, 2, 3, 5, 3), (2, 1), (1, 1), (9, 6), (2, 1)),
    ((4, 1, 1, 3, 3), (1, 1), (1, 1), (6, 6), (1, 1)),
    ((2, 2, 2, 3, 3), (1, 1), (2, 2), (8, 8), (2, 2)),
    ((1, 4, 3, 1, 1), (2, 2), (1, 1), (6, 6), (0, 0)),
    ((1, 4, 3, 1, 1), (1, 1), (1, 1), (5, 5), (0, 0)),
    ((1, 3, 2, 3, 3), (1, 1), (1, 1), (2, 2), (1, 1)),
    ((1, 3, 2, 2, 2), (2, 2), (1, 1), (6, 6), (0, 0)),
]


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(("shape", "strides", "dilations", "sizes", "pads"), CASES)
def test_the_bound_is_above_the_largest_singular_value_and_near_it(shape, strides, dilations, sizes, pads, coarse):
    kernel = np.random.default_rng(0).normal(size=shape)
    exact = np.linalg.norm(written_out(kernel, strides, dilations, sizes, pads), 2)
    padded = tuple(size + 2 * pad for size, pad in zip(sizes, pads, strict=True))
    bound = convolution_norm(kernel, Geometry(strides, dilations, padded), 0 if coarse else WORK)
    mostly_border = sizes == (2, 2)
    assert exact <= bound <= (6 if coarse else 2 if mostly_border else 1.35) * exact


def test_it_is_exact_where_windows_do_not_overlap():
    kernel = np.random.default_rng(1).normal(size=(1, 5, 3, 2, 2))
    bound = convolution_norm(kernel, Geometry((2, 2), (1, 1), (8, 8)))
    assert bound == pytest.approx(np.linalg.norm(kernel.reshape(5, 12), 2), rel=1e-8)


@pytest.mark.parametrize("coarse", [False, True])
def test_matrices(coarse):
    matrices = np.random.default_rng(2).normal(size=(3, 6, 9))
    exact = max(np.linalg.norm(matrix, 2) for matrix in matrices)
    assert exact <= matrix_norm(matrices, 0 if coarse else WORK) <= (2.5 if coarse else 1 + 1e-8) * exact


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-80, 1e80, 1e300])
def test_norms_of_any_size_are_found(size):
    matrix = np.array([[3.0, 0.0], [0.0, 4.0]])
    assert matrix_norm(size * matrix) == pytest.approx(4 * size, rel=1e-8)


@pytest.mark.parametrize("entry", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_has_no_bound(entry):
    assert matrix_norm(np.array([[1.0, entry], [0.0, 1.0]])) == np.inf
