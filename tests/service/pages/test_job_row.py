"""A row of the list says the state, the size, the error and the verdict of a job."""

import pytest

from jobs.http_status import make_problem
from jobs.job import Progress, Status
from service.pages.job_row import ERROR_LENGTH, job_name, job_row, job_state
from tests.service.pages.jobs import SUMMARY, a_job


def progress(fraction):
    return Progress(fraction=fraction, done=1, total=2, message="")


@pytest.mark.parametrize(
    ("fields", "text", "fraction"),
    [
        ({}, "queued", None),
        ({"status": Status.RUNNING}, "running", 0.0),
        ({"status": Status.RUNNING, "stage": "fitting"}, "running: fitting", 0.0),
        ({"status": Status.RUNNING, "stage": "fitting", "progress": progress(0.5)}, "running: fitting", 0.5),
        ({"status": Status.RUNNING, "stage": "fitting", "progress": progress(7.0)}, "running: fitting", 1.0),
        ({"status": Status.CANCELLED}, "cancelled", None),
        ({"status": Status.SUCCEEDED, "cached": True}, "succeeded, from an earlier result", None),
    ],
)
def test_the_state_is_in_words_and_a_share_while_the_job_runs(fields, text, fraction):
    state = job_state(a_job(**fields))
    assert (state.text, state.fraction) == (text, fraction)


def test_a_job_is_named_by_its_models_file_or_else_by_its_model():
    assert job_name(a_job(model_name="net.onnx")) == "net.onnx"
    assert job_name(a_job()) == "model_1"


def test_a_succeeded_job_has_figures():
    row = job_row(a_job(status=Status.SUCCEEDED, summary=SUMMARY, verdict="pass", tags={"branch": "main"}))
    assert (row.size, row.size_share, row.sqnr, row.verdict) == ("250 kB", "25.0 %", "31.0 dB", "pass")
    assert (row.preset, row.tags, row.has_report) == ("int8", ("branch:main",), False)


def test_a_long_error_is_shortened():
    row = job_row(a_job(status=Status.FAILED, error=make_problem("internal", "", "x" * 1000)))
    assert (len(row.error), row.error[-1]) == (ERROR_LENGTH, "…")
