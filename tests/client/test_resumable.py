"""Resumable uploads: continued after an interruption, in the same run of the command and in the next."""

import contextlib
import functools
import secrets
import socket
import threading

import httpx
import pytest

from quantd import resumable, retry, upload
from quantd.api import Client
from quantd.errors import ClientError, Unreachable
from tests import command
from tests.specs import QUICK


class Cutter:
    """A proxy of the service that cuts each of its first `cuts` connections after `after` bytes."""

    def __init__(self, url: str, cuts: int, after: int) -> None:
        self._to = ("127.0.0.1", httpx.URL(url).port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._cuts, self._after, self.sent, self.connections = cuts, after, 0, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._to)
                self.connections += 1
                room = self._after if self.connections <= self._cuts else None
                threading.Thread(target=self._pump, args=(near, far, room), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, None, False), daemon=True).start()

    def _pump(self, source, target, room, counted=True) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                data = data if room is None else data[:room]
                room = None if room is None else room - len(data)
                self.sent += len(data) if counted else 0
                target.sendall(data)
                if room == 0:
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(upload, "RESUMABLE_BYTES", 1000)
    monkeypatch.setattr(resumable, "PART_BYTES", 100_000)
    monkeypatch.setattr(retry, "PAUSES_S", (0.1,) * 3)


@pytest.fixture
def cutter(stack):
    with contextlib.ExitStack() as open_:

        def make(cuts, after=0):
            made = Cutter(stack.url, cuts, after)
            open_.callback(made.close)
            return made

        yield make


@pytest.fixture
def model(examples, tmp_path):
    """A model that is not uploaded yet."""
    note = secrets.token_hex(8).encode()
    path = tmp_path / "m.onnx"
    path.write_bytes((examples / "digits.onnx").read_bytes() + b"\x32" + bytes([len(note)]) + note)
    return path


def test_no_byte_is_sent_twice_over_a_connection_that_breaks(cutter, model):
    proxy, calls = cutter(cuts=2, after=100_000), []
    with Client(proxy.url) as client:
        record = client.upload(model, lambda sent, size: calls.append((sent, size)))
    size = model.stat().st_size
    assert (record.filename, record.size) == ("m.onnx", size)
    assert proxy.connections == 3
    assert calls[-1] == (size, size)
    assert proxy.sent < size + 100_000  # the bytes in flight at a cut, and the headers


def test_the_next_run_continues_and_a_third_sends_nothing(cutter, model, monkeypatch):
    monkeypatch.setattr(retry, "PAUSES_S", ())
    broken, whole = cutter(cuts=100, after=120_000), cutter(cuts=0)
    with Client(broken.url) as client, pytest.raises(Unreachable):
        client.upload(model)
    with Client(whole.url) as client:
        first = client.upload(model)
        assert whole.sent < model.stat().st_size - 90_000
        before = whole.sent
        assert client.upload(model) == first
        assert whole.sent - before < 5000


def test_a_deleted_model_is_sent_again(stack, http, model):
    with Client(stack.url) as client:
        first = client.upload(model)
        assert http.delete(f"/v1/models/{first.id}").status_code == 204
        again = client.upload(model)
    assert again.id != first.id
    assert again.sha256 == first.sha256


def test_a_refused_file_is_not_retried(stack, tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no model" * 1000)
    with Client(stack.url) as client, pytest.raises(ClientError, match="accepted"):
        client.upload(tmp_path / "no.onnx")


def test_the_command_shows_a_large_upload(stack, model, tmp_path):
    quantd = functools.partial(command.quantd, QUANTD_URL=stack.url)
    result = quantd("quantize", model, "--preset", "int8-weights", "-o", tmp_path / "out.onnx")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[0] == "uploading   m.onnx"


def test_waiting_for_a_job_survives_a_connection_that_breaks(cutter, run_job, uploaded):
    job = run_job(model=uploaded["model"], spec=QUICK)
    proxy = cutter(cuts=1, after=0)
    with Client(proxy.url) as client:
        assert client.job(job["id"]).wait().status == "succeeded"
    assert proxy.connections > 1
