"""Loops are used for large models only, and number the families as their callers do."""

from quant.kernel import dispatch
from quant.kernel.families import GAUSSIAN, GENERALIZED_GAUSSIAN, LAPLACE, STUDENT_T
from quant.methods.registry import DISTRIBUTIONS


def test_the_loops_number_the_families_as_their_callers_do():
    numbers = {
        "gaussian": GAUSSIAN,
        "laplace": LAPLACE,
        "student_t": STUDENT_T,
        "generalized_gaussian": GENERALIZED_GAUSSIAN,
    }
    assert {name: number for number, name in enumerate(dispatch.FAMILIES)} == numbers
    assert set(dispatch.FAMILIES) <= set(DISTRIBUTIONS)


def test_loops_pay_for_large_models_only():
    assert not dispatch.pay(rows=698, weights=270_000)
    assert dispatch.pay(rows=9208, weights=2_600_000)
    assert dispatch.pay(rows=21, weights=100_000_000)
