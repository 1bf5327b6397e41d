"""Validation of a submitted job."""

import pytest
from pydantic import ValidationError

from service.jobs.schemas import JobIn, WebhookIn


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_AAAA", "whsec_%%%", "whsec_" + "A" * 100])
def test_a_secret_that_cannot_sign_is_refused(secret):
    with pytest.raises(ValidationError, match="accepted: whsec_"):
        WebhookIn(url="https://hooks.example.org/", secret=secret)


@pytest.mark.parametrize(
    "body",
    [
        {"tags": {"a:b": "c"}},
        {"tags": {"a": float("nan")}},
        {"spec": {"a": 1e999}},
        {"x": 1},
        {"priority": 11},
        {"priority": -11},
        {"priority": 0.5},
    ],
)
def test_a_body_that_cannot_be_stored_is_refused(body):
    with pytest.raises(ValidationError):
        JobIn.model_validate({"model": "model_1", **body})
