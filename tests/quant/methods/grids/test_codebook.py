"""Codebooks: encoding, decoding, scaling and 8-bit levels."""

import numpy as np
import pytest

from quant.methods.grids.codebook import Codebook, MidRiseCodebook, TernaryCodebook, UniformCodebook

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(3, 500)).astype(np.float32)
BOOKS = {
    "codebook": Codebook.from_levels(np.sort(RNG.normal(size=(3, 11)), axis=1)),
    "ternary": TernaryCodebook(np.array([0.5, 1.0, 2.0], np.float32), np.array([0.2, 0.5, 1.5])),
    "mid_rise": MidRiseCodebook(np.array([0.1, 0.2, 0.3], np.float32), 7),
    "uniform": UniformCodebook(np.array([0.1, 0.2, 0.3], np.float32), 7),
}
named = pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS)


def test_encoding_is_to_the_nearest_level():
    book = BOOKS["codebook"]
    nearest = np.abs(ROWS[:, :, None] - book.levels[:, None]).argmin(axis=2)
    np.testing.assert_array_equal(book.encode(ROWS), nearest)


@named
def test_levels_are_encoded_as_themselves(book):
    levels = book.levels.astype(np.float32)
    np.testing.assert_array_equal(book.decode(book.encode(levels)), levels)


@named
def test_scaling_the_codebook_scales_the_weights(book):
    factor = np.array([0.5, 1.0, 2.0])  # powers of two: no rounding
    scaled, column = book.scaled(factor), factor[:, None].astype(np.float32)
    np.testing.assert_array_equal(scaled.encode(ROWS * column), book.encode(ROWS))
    np.testing.assert_array_equal(scaled.decode(book.encode(ROWS)), book.decode(book.encode(ROWS)) * column)


@named
def test_selected_rows_may_repeat(book):
    rows = np.array([2, 0, 2])
    np.testing.assert_array_equal(book.select_rows(rows).encode(ROWS[rows]), book.encode(ROWS)[rows])


def test_snapped_levels_are_multiples_of_an_8_bit_scale_and_codes_stay():
    book = BOOKS["codebook"]
    snapped, step = book.snapped()
    multiples = snapped.levels / step[:, None]
    np.testing.assert_allclose(multiples, np.rint(multiples), atol=1e-6)
    assert np.abs(multiples).max() == pytest.approx(127, abs=1e-4)
    assert np.abs(snapped.levels - book.levels).max() <= step.max() * 0.5001
    np.testing.assert_array_equal(snapped.encode(ROWS), book.encode(ROWS))
    zero = Codebook.from_levels(np.zeros((1, 4)))
    assert zero.snapped()[1] == 1
