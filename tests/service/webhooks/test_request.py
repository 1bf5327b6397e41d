"""The message, the signature and the connection of a webhook request."""

import json
import os
import ssl
import subprocess

import httpx
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.receiver import receiving
from tests.service.webhooks.lookups import answer_lookups, send
from tests.specs import QUICK

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_message_is_the_job_and_is_signed(http, submit, model, due_in):
    with receiving(204) as server:
        job = submit(model, f"http://127.0.0.1:{server.port}/hook?x=1", secret=SECRET).json()
        ((path, headers, body),) = server.wait(1)
        assert due_in(job) is None, "an accepted delivery is not repeated"
    document = Verifier(SECRET).verify(body, headers)
    assert path == "/hook?x=1"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert document["type"] == "job.succeeded"
    assert document["data"] == http.get(job["links"]["self"]).json()
    assert document["timestamp"] == document["data"]["finished_at"]
    assert SECRET not in body
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "A" * 32).verify(body, headers)


def test_a_form_has_a_webhook(http, examples):
    with receiving(204) as server:
        webhook = {"url": f"http://127.0.0.1:{server.port}/", "secret": SECRET}
        form = {"spec": json.dumps(QUICK), "webhook": json.dumps(webhook)}
        job = http.post("/v1/quantize", files={"model": (examples / "digits.onnx").read_bytes()}, data=form).json()
        ((_, headers, body),) = server.wait(1)
    assert Verifier(SECRET).verify(body, headers)["data"]["id"] == job["id"]


def test_the_connection_goes_to_the_checked_address(monkeypatch):
    """The host is looked up once, so a second answer (DNS rebinding) has no effect."""
    with receiving(200) as server:
        answer_lookups(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        assert send(f"http://hook.test:{server.port}/", ["hook.test"]) == 200
        ((_, headers, _),) = server.got
    assert headers["host"] == f"hook.test:{server.port}"


@pytest.mark.parametrize(("name", "valid"), [("hook.test", True), ("other.test", False)])
def test_the_certificate_must_be_valid_for_the_host_name(monkeypatch, tmp_path, name, valid):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hook.test",
         "-addext", "subjectAltName=DNS:hook.test", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(certificate))
    answer_lookups(monkeypatch, ["127.0.0.1"])
    with receiving(200) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://{name}:{server.port}/"
        if valid:
            assert send(url, [name]) == 200
        else:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                send(url, [name])
