"""The operator's rules for sources and destinations."""

import pytest
from pydantic import ValidationError

from jobs.remote.rules import parse_rules
from jobs.settings import Settings


def test_nothing_is_allowed_by_default(monkeypatch):
    for name in ("QUANTD_SOURCE_ALLOW", "QUANTD_DESTINATION_ALLOW"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings()
    assert str(settings.sources) == str(settings.destinations) == "none, until the operator allows some"
    assert settings.sources.schemes == ()


def test_a_rule_allows_its_scheme_and_its_places():
    rules = parse_rules("https://*.Example.org, http://models.internal, s3://models-*, hf://acme, mlflow:/*")
    assert rules.schemes == ("https", "http", "s3", "hf", "mlflow")
    assert rules.hosts == ("*.example.org", "models.internal")
    allowed = [("https", "A.example.org"), ("http", "models.internal"), ("s3", "models-1"), ("mlflow", "net")]
    assert all(rules.allow(*place) for place in allowed)
    refused = [("http", "a.example.org"), ("https", "models.internal"), ("s3", "other"), ("hf", "acme2")]
    assert not any(rules.allow(*place) for place in refused)


@pytest.mark.parametrize("text", ["*", "file:///etc", "http://*.example.org", "https://", "s3://a/b", "example.org"])
def test_what_is_no_rule_is_refused_at_the_start(monkeypatch, text):
    monkeypatch.setenv("QUANTD_SOURCE_ALLOW", f"https://example.org,{text}")
    with pytest.raises(ValidationError, match="accepted: https://host"):
        Settings()
