"""Errors of the client: exit codes and problem documents."""

import signal

import pytest

from quantd.errors import ClientError, Interrupted, JobFailed, JobTimedOut, Unreachable, job_failure


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (ClientError("x"), "usage.invalid", 3),
        (JobFailed("x"), "job.failed", 1),
        (JobTimedOut("x"), "job.timed_out", 1),
        (Unreachable("x"), "service.unreachable", 4),
        (ClientError("x", {"code": "spec.invalid", "detail": "x", "errors": []}), "spec.invalid", 3),
        (Interrupted(signal.SIGINT), "job.interrupted", 130),
        (Interrupted(signal.SIGTERM), "job.interrupted", 143),
    ],
)
def test_a_document_has_a_code_a_detail_and_the_exit_code(error, code, exit_code):
    document = error.document()
    assert (document["code"], document["exit_code"], error.exit_code) == (code, exit_code, exit_code)
    assert document["detail"] in ("x", "interrupted")


@pytest.mark.parametrize(("code", "exit_code"), [("model.unreadable", 1), ("spec.budget_too_small", 3)])
def test_a_spec_at_fault_is_bad_usage_and_another_failure_is_not(code, exit_code):
    error = job_failure({"code": code, "detail": "why"}, "job_1")
    assert error.exit_code == exit_code
    assert str(error) == f"job job_1 failed: {code}: why"
    assert error.document()["job"] == "job_1"


def test_an_interruption_is_no_exception_that_a_handler_of_errors_takes():
    assert not isinstance(Interrupted(signal.SIGINT), Exception)
