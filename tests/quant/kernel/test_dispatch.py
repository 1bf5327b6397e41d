"""Loops are used for large models only, and number the families as the registry does."""

from quant.kernel import dispatch
from quant.kernel.families import GAUSSIAN, GENERALIZED_GAUSSIAN, LAPLACE, STUDENT_T
from quant.methods.registry import DISTRIBUTIONS


def test_the_loops_number_the_families_as_the_registry_names_them():
    assert tuple(DISTRIBUTIONS) == dispatch.FAMILIES
    assert (GAUSSIAN, LAPLACE, STUDENT_T, GENERALIZED_GAUSSIAN) == (0, 1, 2, 3)


def test_loops_pay_for_large_models_only():
    assert not dispatch.pay(rows=698, weights=270_000)
    assert dispatch.pay(rows=9208, weights=2_600_000)
    assert dispatch.pay(rows=21, weights=100_000_000)
