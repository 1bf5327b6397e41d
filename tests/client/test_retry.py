"""Operations that are repeated after failures that may pass."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quantd import retry
from quantd.api import Client
from quantd.errors import ClientError, Unreachable
from quantd.steps import Sleep
from tests import command


def run(flow):
    """Run an operation that only pauses, and return its result and its pauses."""
    pauses = []
    try:
        while True:
            step = next(flow)
            assert isinstance(step, Sleep)
            pauses.append(step.seconds)
    except StopIteration as end:
        return end.value, pauses
    except ClientError as error:
        return error, pauses


class Transfer:
    """A transfer that is interrupted at each of the given byte counts, and then ends."""

    def __init__(self, *interruptions, **error):
        self.bytes = 0
        self._interruptions = list(interruptions)
        self._error = error

    def attempt(self):
        yield from ()
        if not self._interruptions:
            return "result"
        self.bytes = self._interruptions.pop(0)
        raise Unreachable("interrupted", **self._error)


def retried(transfer):
    return run(retry.retry(transfer.attempt, lambda: transfer.bytes))


def test_progress_resets_the_pauses():
    assert retried(Transfer(10, 10, 20, 20)) == ("result", [0.5, 1.0, 0.5, 1.0])


def test_a_transfer_without_progress_is_given_up():
    error, pauses = retried(Transfer(*[0] * 20))
    assert isinstance(error, Unreachable)
    assert pauses == list(retry.PAUSES_S)


def test_a_service_that_asks_for_a_longer_pause_gets_it():
    assert retried(Transfer(0, 0, retry_after_s=0.7)) == ("result", [0.7, 1.0])


def test_a_failure_that_cannot_pass_is_not_retried():
    error, pauses = retried(Transfer(0, may_pass=False))
    assert (isinstance(error, Unreachable), pauses) == (True, [])


class Failing(BaseHTTPRequestHandler):
    """A service that fails a number of times before it answers; a status of 0 cuts the connection."""

    statuses: list[int] = []  # noqa: RUF012
    requests: list[str] = []  # noqa: RUF012
    problem = b'{"code": "some.code", "detail": "no"}'

    def do_GET(self):
        self.requests.append(f"{self.command} {self.headers.get('Idempotency-Key')}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.statuses.pop(0) if self.statuses else 200
        if status:
            body = b'{"id": "job_1", "status": "queued"}' if status == 200 else self.problem
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = True

    do_POST = do_DELETE = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def failing(monkeypatch):
    """The address of a service that fails, and the number of pauses before a client gives up: three."""
    monkeypatch.setattr(retry, "PAUSES_S", (0.01,) * 3)
    monkeypatch.setattr(Failing, "requests", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_failures_of_a_get_and_of_a_post_with_a_key_are_repeated(failing, monkeypatch, status):
    with Client(failing) as client:
        monkeypatch.setattr(Failing, "statuses", [status] * 3)
        assert client.job("job_1").status == "queued"
        monkeypatch.setattr(Failing, "statuses", [status] * 3)
        assert client.quantize("model_1", {}).id == "job_1"
    keys = {request for request in Failing.requests if request.startswith("POST")}
    assert len(Failing.requests) == 8
    assert len(keys) == 1
    assert "None" not in keys.pop()


def test_a_request_that_may_not_be_repeated_is_not(failing, monkeypatch):
    with Client(failing) as client:
        job = client.job("job_1")
        monkeypatch.setattr(Failing, "statuses", [502])
        with pytest.raises(Unreachable):
            job.delete()
    assert len(Failing.requests) == 2


@pytest.mark.parametrize(("status", "code"), [(400, "x"), (404, "x"), (429, "quota.open_jobs")])
def test_a_refusal_is_not_repeated(failing, monkeypatch, status, code):
    monkeypatch.setattr(Failing, "statuses", [status])
    monkeypatch.setattr(Failing, "problem", b'{"code": "%s", "detail": "no"}' % code.encode())
    with Client(failing) as client, pytest.raises(ClientError) as error:
        client.job("job_1")
    assert (error.value.exit_code, len(Failing.requests)) == (3, 1)


@pytest.mark.parametrize("status", [0, 429, 502])
def test_lasting_failures_are_exit_4(failing, monkeypatch, status):
    monkeypatch.setattr(Failing, "statuses", [status] * 100)
    result = command.quantd("jobs", "show", "job_1", QUANTD_URL=failing)
    assert (result.returncode, result.stderr.count("\n"), len(Failing.requests)) == (4, 1, 4)


def test_an_address_where_nothing_listens_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(retry, "PAUSES_S", (60.0,))
    assert command.quantd("jobs", "list", QUANTD_URL="http://127.0.0.1:9").returncode == 4
