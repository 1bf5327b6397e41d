"""Rounding to the nearest level."""

import numpy as np

from quant.methods.grids.codebook import UniformCodebook
from quant.methods.rounding.nearest import Nearest
from tests.quant.one_layer import problem_of


def test_no_level_is_nearer_than_the_chosen_one():
    problem, _ = problem_of(outputs=5, inputs=30)
    codebook = UniformCodebook(np.linspace(0.1, 0.5, 5, dtype=np.float32), 3)
    values = Nearest().round(problem, codebook)
    distance = np.abs(codebook.levels[None, :, None, :] - problem.matrix[..., None]).min(axis=-1)
    np.testing.assert_allclose(np.abs(values - problem.matrix), distance, atol=1e-6)
