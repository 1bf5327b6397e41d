"""The requests that locations stand for."""

import asyncio

import pytest

from jobs.errors import CredentialsRefused
from jobs.remote.locations import parse_location
from jobs.settings import Settings
from worker.remote.credentials import S3Key, Token
from worker.remote.targets import Resolver

KEY = S3Key(use_for=("s3://*",), access_key_id="id", secret_access_key="secret")


@pytest.fixture
def resolver():
    settings = Settings(source_allow="https://*.example.org", hf_endpoint="https://hub.internal/")
    return Resolver(settings, settings.sources)


def source(resolver, text, credentials=None):
    return asyncio.run(resolver.source(parse_location(text, "source"), credentials))


def destination(resolver, text, name="model.onnx", credentials=None):
    return asyncio.run(resolver.destination(parse_location(text, "destination"), name, credentials))


def test_an_object_is_reached_by_a_signed_url_and_with_no_key_of_the_worker(monkeypatch, resolver):
    for name in ("AWS_ENDPOINT", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "http://of-the-worker")
    target = source(resolver, "s3://models/a b/net.onnx", KEY)
    assert target.url.startswith("https://s3.us-east-1.amazonaws.com/models/a%20b/net.onnx?X-Amz-Algorithm=")
    assert "of-the-worker" not in target.url
    assert target.hosts == ("s3.us-east-1.amazonaws.com",)
    stored = destination(resolver, "s3://models/out/", credentials=KEY)
    assert stored.url.startswith("https://s3.us-east-1.amazonaws.com/models/out/model.onnx?")
    assert "secret" not in repr(target) + target.url


def test_an_object_needs_an_access_key(resolver):
    with pytest.raises(CredentialsRefused, match="S3 key"):
        source(resolver, "s3://models/net.onnx", Token(use_for=("s3://*",), token="x"))


def test_a_file_of_the_hub_is_resolved_at_its_revision(resolver):
    token = Token(use_for=("hf://*",), token="x")
    target = source(resolver, "hf://acme/net@v1/onnx/a#b.onnx", token)
    assert target.url == "https://hub.internal/acme/net/resolve/v1/onnx/a%23b.onnx"
    assert target.headers == {"Authorization": "Bearer x"}
    assert "*.hf.co" in target.hosts


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://a.example.org/out", "https://a.example.org/out/model.onnx"),
        ("https://a.example.org/my%20out/", "https://a.example.org/my%20out/model.onnx"),
        ("https://a.example.org/x.onnx?sig=%2F", "https://a.example.org/x.onnx?sig=%2F"),
    ],
)
def test_an_artifact_has_a_url_of_its_own_unless_the_url_is_signed(resolver, url, called):
    assert destination(resolver, url).url == called
