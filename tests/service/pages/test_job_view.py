"""A job's page shows its course from its events, its gates with margins, and its files."""

import json

import pytest

from jobs.events import Event
from jobs.job import Artifact, Gate, Progress, Status, Upload
from service.pages.job_view import artifact_views, figures, file_views, gate_views, job_course, progress_text
from tests.service.pages.jobs import SUMMARY, a_job


def event(milliseconds, kind, **data):
    return Event(f"{1_700_000_000_000 + milliseconds}-0", kind, json.dumps(data))


def state(milliseconds, status):
    return event(milliseconds, "state", status=status, final=status == "succeeded")


def progress(milliseconds, stage):
    return event(milliseconds, "progress", stage=stage, fraction=0.0, done=0, total=1, message="")


EVENTS = [
    state(0, "queued"), state(100, "running"), progress(1100, "normalising"), progress(1200, "fitting"),
    event(1300, "log", level="warning", message="<b>odd</b>"), progress(3200, "fitting"), progress(4200, "normalising"),
]  # fmt: skip


def test_a_running_job_has_stages_that_are_done_current_and_to_come():
    course = job_course(a_job(status=Status.RUNNING, stage="normalising"), EVENTS)
    assert [(stage.name, stage.state) for stage in course.stages[:4]] == [
        ("loading", "done"), ("normalising", "current"), ("fitting", "done"), ("quantizing", "pending"),
    ]  # fmt: skip
    assert course.stages[2].time == "3.0 s"
    assert course.last_event == EVENTS[-1].id


def test_an_ended_job_has_only_the_stages_that_it_went_through():
    course = job_course(a_job(status=Status.SUCCEEDED), [*EVENTS, state(5200, "succeeded")])
    assert [(stage.name, stage.time) for stage in course.stages] == [
        ("loading", "1.0 s"), ("normalising", "1.1 s"), ("fitting", "3.0 s"),
    ]  # fmt: skip
    assert {stage.state for stage in course.stages} == {"done"}


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_the_stage_in_which_a_job_failed_or_was_cancelled_is_not_done(status):
    course = job_course(a_job(status=status), [*EVENTS, state(5200, status)])
    assert [(stage.name, stage.state) for stage in course.stages] == [
        ("loading", "done"), ("normalising", "ended"), ("fitting", "done"),
    ]  # fmt: skip


def test_the_log_has_times():
    (line,) = job_course(a_job(), EVENTS).log
    assert (line.time, line.level, line.message) == ("22:13:21", "warning", "<b>odd</b>")


def test_a_new_attempt_begins_anew():
    course = job_course(a_job(status=Status.RUNNING, stage="loading"), [*EVENTS, state(9000, "running")])
    assert [stage.name for stage in course.stages if stage.state != "pending"] == ["loading"]


def test_the_course_of_a_job_whose_events_expired_is_empty():
    course = job_course(a_job(status=Status.SUCCEEDED), [])
    assert (course.stages, course.log, course.last_event) == ((), (), "0")


@pytest.mark.parametrize(
    ("message", "text"),
    [("", "2 of 7"), ("/conv1", "2 of 7: /conv1"), ("bounds, 2 of 7 samples", "bounds, 2 of 7 samples")],
)
def test_the_progress_of_a_stage_has_its_numbers_once(message, text):
    assert progress_text(Progress(fraction=0.3, done=2, total=7, message=message)) == text
    assert progress_text(None) == ""


@pytest.mark.parametrize(
    ("name", "limit", "value", "texts"),
    [
        ("min_output_sqnr_db", 20, 18.5, ("at least 20 dB", "18.5 dB", "-1.5 dB")),
        ("max_size_ratio", 0.5, 0.2, ("at most 0.5", "0.2", "+0.3")),
        ("max_top1_drop_points", 1, None, ("at most 1 points", "not measured", "")),
    ],
)
def test_a_gate_has_its_limit_value_and_margin(name, limit, value, texts):
    (view,) = gate_views(a_job(gates=[Gate(name=name, limit=limit, value=value, passed=False)]))
    assert (view.limit, view.value, view.margin) == texts


def test_a_loss_that_rounds_to_zero_has_no_minus():
    job = a_job(status=Status.SUCCEEDED, summary=SUMMARY.model_copy(update={"top1_quantized": SUMMARY.top1_float}))
    assert "+0.00 points against float" in [figure.note for figure in figures(job)]


def test_only_measured_figures_are_shown():
    job = a_job(status=Status.SUCCEEDED, summary=SUMMARY.model_copy(update={"output_sqnr_db": None}))
    shown = {figure.name: (figure.text, figure.note) for figure in figures(job)}
    assert shown["Size"] == ("250 kB", "25.0 % of 1 MB")
    assert shown["Top-1 accuracy"] == ("90.70 %", "-0.50 points against float")
    assert not {"Output SQNR", "Latency"} & shown.keys()
    assert figures(a_job()) == []


def test_a_deleted_file_keeps_its_name_and_has_no_link():
    job = a_job(model_name="net.onnx", calibration="dataset_1")
    model, calibration = file_views(job, {"calibration": a_dataset(key="blob")})
    assert (model.name, model.size, model.url) == ("net.onnx", "", "")
    assert (calibration.name, calibration.size, calibration.url) == ("dataset_1", "10 B", "/v1/datasets/dataset_1")


def test_a_file_that_is_being_fetched_says_so():
    files = {"calibration": a_dataset(key="")}
    _, calibration = file_views(a_job(model_name="net.onnx", calibration="dataset_1"), files)
    assert calibration.size == "being fetched"


def a_dataset(key):
    return Upload(id="", tenant="", key=key, sha256="", size=10, filename=None, created_at="", format="npz")


def test_artifacts_have_a_description_and_a_link():
    artifact = Artifact(name="model.onnx", size=2000, sha256="ab", media_type="", key="secret")
    job = a_job(artifacts=[artifact])
    (view,) = artifact_views(job)
    assert (view.size, view.url) == ("2 kB", f"/v1/jobs/{job.id}/artifacts/model.onnx")
    assert view.description
