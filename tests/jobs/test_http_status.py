"""Every error has a status and becomes a problem."""

import pytest

from jobs.http_status import problem_of, status_of
from quant.errors import FieldError, SpecError
from tests.jobs.test_errors import ERRORS

EXPECTED = {
    "model.unsupported_format": 415, "model.unreadable": 422, "dataset.non_finite": 422, "spec.invalid": 422,
    "not_found": 404, "conflict": 409, "request.too_large": 413, "request.digest_mismatch": 400,
    "request.range_not_satisfiable": 416, "service.unavailable": 503, "worker.crashed": 500, "export.invalid": 500,
}  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_becomes_a_problem(error):
    problem = problem_of(error("what, where, and what instead"))
    assert problem.detail == "what, where, and what instead"
    assert 400 <= problem.status < 600
    assert problem.title == error.title
    assert problem.type.endswith(problem.code)


@pytest.mark.parametrize(("code", "status"), EXPECTED.items())
def test_codes_have_their_status(code, status):
    assert status_of(code) == status


def test_a_problem_includes_the_pointers():
    problem = problem_of(SpecError("x", [FieldError("/weights/bits", "too many")]))
    assert [(fault.pointer, fault.detail) for fault in problem.errors] == [("/weights/bits", "too many")]
