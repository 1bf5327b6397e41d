"""The front page."""

from types import SimpleNamespace

from service.pages import _templates


def render(jobs):
    return _templates.get_template("index.html").render(jobs=jobs)


def test_without_a_caller_no_jobs_are_shown():
    assert "requires an API key" in render(None)


def test_an_empty_list_says_how_to_submit():
    assert "quantd quantize" in render([])


def test_names_are_escaped():
    error = SimpleNamespace(detail="<script>")
    job = SimpleNamespace(
        id="job_1", status="failed", stage=None, error=error, spec={}, summary=None, verdict=None, created_at="now",
        artifacts=(),
    )  # fmt: skip
    assert "&lt;script&gt;" in render([job])
    assert "<script>" not in render([job])
