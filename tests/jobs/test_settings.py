"""Settings come from the environment, and impossible values are refused at the start."""

import pytest
from pydantic import ValidationError

from jobs.settings import Settings


def test_the_store_lies_in_the_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("QUANTD_STATE_DIR", str(tmp_path))
    assert Settings().store_url == (tmp_path / "store").as_uri()
    monkeypatch.setenv("QUANTD_STORE_URL", "s3://bucket/prefix")
    assert Settings().store_url == "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("name", "value"), [("AUTH", "maybe"), ("MAX_MODEL_BYTES", "0"), ("JOB_TIMEOUT_S", "-1"), ("LOG_FORMAT", "xml")]
)
def test_impossible_settings_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"QUANTD_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_webhook_hosts_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("QUANTD_WEBHOOK_ALLOW_HOSTS", " Hooks.Example.org, *.b.org ,")
    assert Settings().webhook_hosts == ("hooks.example.org", "*.b.org")
