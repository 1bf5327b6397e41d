"""The operator's credentials: found by name, for their places and tenants alone, and never shown."""

import pytest
import yaml

from jobs.errors import CredentialsRefused
from jobs.remote.locations import parse_location
from worker.remote.credentials import CredentialStore, S3Key, Token

HUB = parse_location("hf://acme/net/net.onnx", "source")
BUCKET = parse_location("s3://models/net.onnx", "source")
KEY = {"access_key_id": "id", "secret_access_key": "secret-key", "use_for": ["s3://models"]}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "credentials.yaml"
    path.write_text(yaml.safe_dump({
        "hub": {"token": "secret-token", "use_for": ["hf://acme"], "tenants": ["alice"]},
        "bucket": KEY,
        "registry": {"username": "bot", "password": "secret-word", "use_for": ["https://registry.example.org"]},
    }))  # fmt: skip
    return CredentialStore(path)


def test_credentials_are_found_by_name(store):
    hub, bucket = store.find("hub", HUB, "alice"), store.find("bucket", BUCKET, "bob")
    assert isinstance(hub, Token)
    assert hub.headers() == {"Authorization": "Bearer secret-token"}
    assert isinstance(bucket, S3Key)
    assert "secret" not in repr(hub) + repr(bucket).replace("secret_access_key", "")
    login = store.find("registry", parse_location("https://registry.example.org/net.onnx", "source"), "bob")
    assert login is not None
    assert login.headers() == {"Authorization": "Basic Ym90OnNlY3JldC13b3Jk"}
    assert store.find(None, HUB, "alice") is None


@pytest.mark.parametrize(
    ("name", "location", "tenant"),
    [
        ("other", HUB, "alice"),
        ("hub", HUB, "bob"),
        ("hub", BUCKET, "alice"),
        ("registry", parse_location("http://registry.example.org/x", "source"), "bob"),
        ("registry", parse_location("https://evil.example.org/registry.example.org", "source"), "bob"),
    ],
)
def test_a_secret_is_sent_nowhere_else(store, name, location, tenant):
    with pytest.raises(CredentialsRefused):
        store.find(name, location, tenant)


@pytest.mark.parametrize(
    "text", ["[", "a: {token: secret-token}", "a: {token: secret-token, use_for: ['ftp://x']}", "3"]
)
def test_a_broken_file_is_reported_without_its_secrets(tmp_path, text):
    path = tmp_path / "credentials.yaml"
    path.write_text(text)
    with pytest.raises(CredentialsRefused, match="cannot be used") as refused:
        CredentialStore(path).find("a", HUB, "alice")
    assert "secret-token" not in str(refused.value)
