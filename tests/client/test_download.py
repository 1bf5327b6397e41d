"""Downloads: resumed after an interruption, and rejected if the bytes are not those of the job."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quantd.api import Client
from quantd.errors import ClientError, Unreachable

DATA = b"the model" * 1000


class Service(BaseHTTPRequestHandler):
    """A service, or something between it and the client, that answers with the bytes of `sent`."""

    sent = DATA
    length = len(DATA)
    cut = 0
    """The number of bytes after which the first connection ends; 0 for no end."""

    def do_GET(self):
        digest = hashlib.sha256(DATA).hexdigest()
        listed = json.dumps({"items": [{"name": "model.onnx", "sha256": digest}]}).encode()
        documents = {"/v1/jobs/job": b'{"id": "job", "status": "succeeded"}', "/v1/jobs/job/artifacts": listed}
        body = documents.get(self.path, self.sent)
        length = self.length if body is self.sent else len(body)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(length - start))
        self.end_headers()
        cut = self.cut if body is self.sent and not start else 0
        self.wfile.write(body[start : cut or None])

    def log_message(self, *_):
        pass


@pytest.fixture
def job(monkeypatch):
    monkeypatch.setattr("quantd.retry.PAUSES_S", (0.01,) * 2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_address[1]}") as client:
            yield client.job("job")
        server.shutdown()


def test_a_complete_download_is_written(job, tmp_path):
    job.download(tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == DATA
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_download_continues(job, tmp_path, monkeypatch):
    monkeypatch.setattr(Service, "cut", 5000)
    job.download(tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == DATA


@pytest.mark.parametrize(
    ("sent", "length", "error"),
    [(DATA[:-1] + b"x", len(DATA), ClientError), (DATA[:-1], len(DATA) - 1, ClientError), (b"", 9, Unreachable)],
)
def test_other_bytes_are_rejected_and_the_old_file_stays(job, tmp_path, monkeypatch, sent, length, error):
    monkeypatch.setattr(Service, "sent", sent)
    monkeypatch.setattr(Service, "length", length)
    (tmp_path / "m.onnx").write_bytes(b"before")
    with pytest.raises(error):
        job.download(tmp_path / "m.onnx")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_an_unknown_artifact_is_an_error_with_the_known_names(job, tmp_path):
    with pytest.raises(ClientError, match=r"it has model\.onnx"):
        job.download(tmp_path / "o", "other")
