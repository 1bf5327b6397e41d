"""The grids of blocks: NumPy and the compiled loop find the same, and zero points lower the error."""

import numpy as np
import pytest

from quant.weights.block_grids import clipped_grids, outermost, search_grids

RNG = np.random.default_rng(0)
BLOCKS = RNG.normal(0.02, 0.05, size=(12, 32)).astype(np.float32)
BLOCKS[0], BLOCKS[1], BLOCKS[2, 3], BLOCKS[3] = 0, 0.5, 4, np.abs(BLOCKS[3])
IMPORTANCE = RNG.uniform(0.1, 3, 96)


def error(book, importance=IMPORTANCE):
    difference = book.decode(book.encode(BLOCKS)).astype(np.float64) - BLOCKS
    return (np.resize(importance, BLOCKS.shape) * difference**2).sum(axis=1)


def search(**options):
    return search_grids(
        BLOCKS, IMPORTANCE, **{"bits": 4, "zero_points": True, "clips": True, "compiled": False, **options}
    )


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_compiled_grids_are_those_of_numpy(bits, clips, zero_points):
    options = {"bits": bits, "clips": clips, "zero_points": zero_points}
    plain, compiled = search(**options), search(**options, compiled=True)
    np.testing.assert_allclose(error(compiled), error(plain), rtol=1e-4, atol=1e-12)
    assert (compiled.scale > 0).all()
    assert np.isfinite(compiled.scale).all()


def test_zero_points_and_clipping_lower_the_error_of_a_block():
    symmetric, affine = error(search(zero_points=False)), error(search())
    assert affine[3:].sum() < 0.8 * symmetric[3:].sum()
    assert (affine <= error(search(clips=False)) + 1e-12).all()


def test_zeros_are_exact_and_important_inputs_are_rounded_finely():
    assert (search().decode(search().encode(np.zeros_like(BLOCKS))) == 0).all()
    lopsided = np.where(np.arange(96) % 32 < 4, 100.0, 1.0)
    book = search_grids(BLOCKS, lopsided, 4, zero_points=True, clips=True, compiled=False)
    assert error(book, lopsided).sum() < error(search(), lopsided).sum()


@pytest.mark.parametrize("zero_points", [False, True])
def test_a_bound_shrinks_both_ends_of_a_block(zero_points):
    largest = np.abs(BLOCKS).max(axis=1).astype(np.float64)
    whole, half = (
        clipped_grids(BLOCKS, bound, largest, 4, zero_points=zero_points) for bound in (largest, largest / 2)
    )
    np.testing.assert_allclose(half.scale[1:], whole.scale[1:] / 2, rtol=1e-6)
    levels = np.abs(whole.levels).max(axis=1)
    np.testing.assert_allclose(outermost(whole), levels, rtol=1e-6)
