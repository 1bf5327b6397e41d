"""Unit distributions and published tables, as references for tests of the methods."""

from pathlib import Path

import numpy as np

from quant.methods.distributions.fit import FamilyFit, Fit
from quant.methods.distributions.gaussian import FittedGaussian
from quant.methods.distributions.generalized_gaussian import FittedGeneralizedGaussian
from quant.methods.distributions.laplace import FittedLaplace
from quant.methods.distributions.statistics import summarise
from quant.methods.distributions.student_t import FittedStudentT

FAMILIES = {kind.family: kind for kind in (FittedGaussian, FittedLaplace, FittedStudentT, FittedGeneralizedGaussian)}
WIDE = summarise(np.array([[1e6, 1.0]], np.float32))
"""Statistics with a largest weight so large that it limits no bound."""


def table(name):
    """Return the rows of a table beside this file: words and numbers, None for a dash."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return [[_cell(cell) for cell in line.split()] for line in lines if not line.startswith("#")]


def unit_fit(family, shape=None):
    """Return a fit of one row that is the unit distribution of a family."""
    zero, one = np.zeros(1), np.ones(1)
    fitted = FAMILIES[family](zero, one, None if shape is None else np.array([shape]))
    return Fit((FamilyFit(fitted, zero, zero, zero, zero),), np.zeros(1, np.intp))


def _cell(cell):
    try:
        return None if cell == "-" else float(cell)
    except ValueError:
        return cell
