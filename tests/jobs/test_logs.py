"""A log line is one JSON document, or text."""

import json

import pytest
import structlog

from jobs.logs import configure_logs


@pytest.fixture(autouse=True)
def _restore():
    yield
    structlog.reset_defaults()


def test_json_has_one_document_a_line(capsys):
    configure_logs("json")
    structlog.get_logger().info("job ended", job="job_1")
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["job"], line["level"]) == ("job ended", "job_1", "info")


def test_text_is_readable(capsys):
    configure_logs("text")
    structlog.get_logger().info("job ended", job="job_1")
    assert "job ended" in capsys.readouterr().out
