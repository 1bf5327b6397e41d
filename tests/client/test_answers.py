"""Answers at the address of the service that the service never sent."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quantd import AsyncClient, Client, ClientError, Unreachable
from quantd.commands import options
from quantd.events import EventFeed
from tests import command

JOB = "job_" + "0" * 32
BODIES = [b"<html>Sign in</html>", b"", b"null", b"[1]", b"{}", b'{"id": "x"}', b"[" * 100_000, b"\xff"]
CALLS = {
    "upload": lambda client, file: client.upload(file),
    "upload_dataset": lambda client, file: client.upload_dataset(file),
    "quantize": lambda client, file: client.quantize("model", {}),
    "plan": lambda client, file: client.plan("model", {}),
    "job": lambda client, file: client.job(JOB),
    "jobs": lambda client, file: client.jobs(),
    "compare": lambda client, file: client.compare(JOB, JOB),
}


@pytest.fixture
def stranger():
    """A server of something else that answers every request with this status and these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(self.server.status)
            for header in self.server.answer_headers:
                self.send_header(*header)
            self.send_header("Content-Length", str(len(self.server.answer)))
            self.end_headers()
            self.wfile.write(self.server.answer)

        do_POST = do_GET

        def log_message(self, *args):
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.answer, server.answer_headers = 200, b"", ()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")
    return path


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_another_program_at_the_address_is_not_the_service(call, stranger, file):
    with Client(stranger.url) as client:
        for stranger.answer in BODIES:
            with pytest.raises(Unreachable, match="not quantd that answers; set QUANTD_URL"):
                call(client, file)


def test_another_program_is_not_the_service_of_an_event_loop_either(stranger, file):
    async def upload():
        async with AsyncClient(stranger.url) as client:
            await client.upload(file)

    with pytest.raises(Unreachable, match="not quantd"):
        asyncio.run(upload())


def test_a_large_upload_to_another_program_ends(stranger, file, monkeypatch):
    monkeypatch.setattr("quantd.upload.RESUMABLE_BYTES", 1)
    with Client(stranger.url) as client, pytest.raises(Unreachable, match="the header Location"):
        client.upload(file)


def test_a_body_that_cannot_be_decoded_is_no_answer(stranger, monkeypatch):
    monkeypatch.setattr("quantd.retry.PAUSES_S", ())
    stranger.answer, stranger.answer_headers = b"garbage", [("Content-Encoding", "gzip")]
    with Client(stranger.url) as client, pytest.raises(Unreachable, match="no service answers"):
        client.job(JOB)


def test_a_redirection_names_the_other_address(stranger):
    stranger.status, stranger.answer_headers = 301, [("Location", "https://quantd.example/v1/jobs")]
    with Client(stranger.url) as client, pytest.raises(ClientError, match="returned 301 to https:"):
        client.jobs()


def test_an_empty_address_is_that_of_the_embedded_service(monkeypatch):
    monkeypatch.setenv("QUANTD_URL", "")
    assert options.service_url() == options.DEFAULT_URL


@pytest.mark.parametrize("value", ["", "<html>", "[1]", "null"])
def test_an_event_that_cannot_be_read_is_an_interruption(value):
    with pytest.raises(Unreachable):
        EventFeed(JOB).read(f"data: {value}")


def test_the_command_reports_another_program_as_no_service(stranger):
    result = command.quantd("jobs", "list", QUANTD_URL=stranger.url)
    assert (result.returncode, "Traceback" in result.stderr) == (4, False)
    assert "set QUANTD_URL" in result.stderr
