"""A job's end is told, signed, at the address that was checked, until it is taken."""

import asyncio
import json
import os
import secrets
import socket
import ssl
import subprocess
import time

import httpx
import pytest
import redis
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from jobs.job import Job, Status, Upload, Webhook, new_id, now
from jobs.records import Records
from jobs.redis_keys import WEBHOOKS
from jobs.stack import ADDRESS, Stack
from jobs.valkey import Valkey
from service.webhooks import SCHEDULE_S, Deliveries, Refused, check_url, deliver
from tests.receiver import receiving
from tests.specs import QUICK

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A service that may call this machine."""
    settings = {"QUANTD_WEBHOOK_ALLOW_HOSTS": "127.0.0.1,*.example.org"}
    with Stack(tmp_path_factory.mktemp("webhooks"), settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def http(stack):
    with httpx.Client(base_url=stack.url, timeout=70) as client:
        yield client


@pytest.fixture(scope="module")
def due_in(stack):
    """In how many seconds a job's caller is told (again), after an attempt has ended; None for never."""

    def look(job):
        with redis.Redis.from_url((stack.folder / ADDRESS).read_text()) as records:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                due = records.zscore(WEBHOOKS, job["id"])
                if due is None or 0 < due - time.time() <= SCHEDULE_S[1]:
                    return due and due - time.time()
                time.sleep(0.05)
        raise TimeoutError("the attempt did not end")

    return look


def submit(http, model, url, **webhook):
    body = {"model": model, "spec": QUICK, "webhook": {"url": url, **webhook}}
    return http.post("/v1/jobs", json=body)


@pytest.fixture(scope="module")
def model(http, examples):
    return http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]


def test_the_end_of_a_job_is_told_and_signed(http, model, due_in):
    with receiving(204) as server:
        job = submit(http, model, f"http://127.0.0.1:{server.port}/hook?x=1", secret=SECRET).json()
        ((path, headers, body),) = server.wait(1)
        assert due_in(job) is None, "what was taken is not sent again"
    told = Verifier(SECRET).verify(body, headers)
    assert path == "/hook?x=1"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert told["type"] == "job.succeeded"
    assert told["data"] == http.get(job["links"]["self"]).json()
    assert told["timestamp"] == told["data"]["finished_at"]
    assert SECRET not in body
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "A" * 32).verify(body, headers)


def test_a_used_result_a_failure_and_a_cancel_are_told_too(http, model, examples):
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-900]).json()["id"]
    with receiving(200) as server:
        url = f"http://127.0.0.1:{server.port}/"
        again, failed = submit(http, model, url).json(), submit(http, cut, url).json()
        cancelled = submit(http, cut, url).json()
        http.post(cancelled["links"]["cancel"])
        got = server.wait(3)
    told = {json.loads(body)["data"]["id"]: json.loads(body)["type"] for _, _, body in got}
    assert again["cached"]
    assert told[again["id"]] == "job.succeeded"
    assert told[failed["id"]] == "job.failed"
    assert told[cancelled["id"]] in ("job.cancelled", "job.failed")
    assert not [headers for _, headers, _ in got if "webhook-signature" in headers]


@pytest.mark.parametrize("status", [410, 302])
def test_a_redirect_is_not_followed_and_gone_is_the_end(http, model, due_in, status):
    with (
        receiving(200) as other,
        receiving(status, headers=[("Location", f"http://127.0.0.1:{other.port}/")]) as server,
    ):
        job = submit(http, model, f"http://127.0.0.1:{server.port}/").json()
        server.wait(1)
        assert (due_in(job) is None) == (status == 410)
        assert (len(server.got), other.got) == (1, [])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data", "https://[::1]/", "http://localhost/", "http://127.0.0.1.nip.io/",
        "http://hooks.example.org/", "ftp://127.0.0.1/", "https://user:secret@hooks.example.org/", "file:///etc/passwd",
        "//127.0.0.1/", "https://", "https://evil.org/?.example.org", "https://example.org", "http://2130706433/",
        "http://0x7f.1/", "x", "", "http://127.0.0.1:99999/", "https://a.example.org:x/",
    ],
)  # fmt: skip
def test_a_host_that_is_not_allowed_is_refused_with_the_job(http, model, url):
    refused = submit(http, model, url)
    assert (refused.status_code, refused.json()["code"]) == (400, "request.invalid")
    assert refused.json()["errors"][0]["pointer"] == "/webhook/url"


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_AAAA", "whsec_%%%", "whsec_" + "A" * 100])
def test_a_secret_that_cannot_sign_is_refused(http, model, secret):
    refused = submit(http, model, "https://hooks.example.org/", secret=secret)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "/webhook/secret"


def send(url, allowed):
    return asyncio.run(deliver(Webhook(url=url), "{}", "msg_1", allowed))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_a_public_name_at_a_private_address_is_not_called(monkeypatch, address):
    answer_lookups(monkeypatch, [address])
    with pytest.raises(Refused, match="not a public address"):
        send("https://hook.example.org/", ["*"])


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    answer_lookups(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(Refused, match="not a public address"):
        send("https://hook.example.org/", ["*"])


def answer_lookups(monkeypatch, *answers):
    """The name server's answers, one a lookup: more lookups than answers fail."""
    left = list(answers)
    real = socket.getaddrinfo

    def look_up(host, port, *args, **options):
        if str(host).endswith((".example.org", ".test")):
            return [info for address in left.pop(0) for info in real(address, port, *args, **options)]
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch):
    """A name server that gives another address at each lookup (DNS rebinding) is asked once."""
    with receiving(200) as server:
        answer_lookups(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        assert send(f"http://hook.test:{server.port}/", ["hook.test"]) == 200
        ((_, headers, _),) = server.got
    assert headers["host"] == f"hook.test:{server.port}"


@pytest.mark.parametrize(("name", "taken"), [("hook.test", True), ("other.test", False)])
def test_the_certificate_is_that_of_the_name_and_not_of_the_address(monkeypatch, tmp_path, name, taken):
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
        if taken:
            assert send(url, [name]) == 200
        else:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                send(url, [name])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.example.org/x", ["*"]),
        ("https://a.example.org:8443/x", ["*.example.org"]),
        ("https://A.EXAMPLE.org/", ["a.example.org"]),
        ("http://hooks.internal/", ["*.example.org", "hooks.internal"]),
    ],
)
def test_a_host_that_is_allowed_is(url, allowed):
    check_url(url, allowed)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("records"))
    yield Records(server.url)
    server.stop()


@pytest.fixture
def ended(records):
    """Stores a job whose end is to be told at this port, and cancels it."""

    def make(port):
        upload = Upload(
            id=new_id("model"), tenant="t", key="k", sha256=secrets.token_hex(32), size=1, filename=None,
            created_at=now(), format="onnx",
        )  # fmt: skip
        records.add_upload("model", upload)
        webhook = Webhook(url=f"http://127.0.0.1:{port}/", secret=SECRET)
        job = Job(
            id=new_id("job"), tenant="t", status=Status.QUEUED, model=upload.id, spec={}, created_at=now(),
            webhook=webhook,
        )  # fmt: skip
        records.create_job(job)
        assert asyncio.run(Deliveries(records, ["127.0.0.1"]).send_due()) == 0
        records.cancel(job)

    return make


def attempts(records, schedule, count):
    """How many deliveries each of so many looks made."""
    deliveries = Deliveries(records, ["127.0.0.1"], schedule)
    return [asyncio.run(deliveries.send_due()) for _ in range(count)]


def test_what_is_not_taken_is_sent_again_as_the_same_message(records, ended):
    with receiving(500, 200) as receiver:
        ended(receiver.port)
        assert attempts(records, (0, 0, 0), 3) == [1, 1, 0]
        first, second = receiver.got
    assert first[2] == second[2]
    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    Verifier(SECRET).verify(second[2], second[1])


def test_after_the_last_attempt_of_the_schedule_it_is_given_up(records, ended):
    with receiving(503) as receiver:
        ended(receiver.port)
        assert attempts(records, (0, 0, 0), 5) == [1, 1, 1, 0, 0]
        assert len(receiver.got) == 3


def test_the_next_attempt_waits_as_long_as_the_schedule_says(records, ended):
    with receiving(503) as receiver:
        ended(receiver.port)
        assert attempts(records, (0, 60), 2) == [1, 0]
