"""A host outside the service: it serves files, also in hostile ways, and takes files by PUT."""

import contextlib
import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.swift import ACCESS_KEY, SECRET_KEY

TOKEN = "hub-token-that-nobody-may-see"


class Remote(ThreadingHTTPServer):
    """A server of `files` by path.

    `refusals` are the statuses of the next PUTs; `got` holds what was PUT. The next `cuts` files end in their middle.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.got, self.refusals, self.requests, self.cuts = {}, {}, [], [], 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, query = unquote(urlsplit(self.path).path), parse_qs(urlsplit(self.path).query)
        authorization = self.headers.get("Authorization")
        self.server.requests.append((path, authorization))
        if path == "/redirect":
            self._answer(302, location=query["to"][0])
        elif path == "/loop":
            self._answer(302, location="/loop")
        elif path == "/drip":
            self._stream(b"\x08" for _ in range(600))
        elif path == "/announced":
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 50))
            self.end_headers()
        elif path == "/bomb":
            self._answer(200, gzip.compress(bytes(1 << 20)), encoding="gzip")
        elif path.startswith("/hub/") and authorization != f"Bearer {TOKEN}":
            self._answer(401)
        elif path.startswith("/hub/") and "/resolve/main/" in path:
            self._answer(307, location=f"/files/{path.rsplit('/', 1)[-1]}")
        else:
            data = self.server.files.get(path.removeprefix("/files").lstrip("/"))
            self._answer(200 if data is not None else 404, data or b"")

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.refusals.pop(0) if self.server.refusals else 201
        if status == 201:
            self.server.got[self.path] = data
        self._answer(status)

    def _answer(self, status, data=b"", location=None, encoding=None):
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), "Location": location, "Content-Encoding": encoding}
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if data and self.server.cuts:
            self.server.cuts, self.close_connection = self.server.cuts - 1, True
            data = data[: len(data) // 2]
        self.wfile.write(data)

    def _stream(self, chunks):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has seen enough
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                time.sleep(0.1)
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    with Remote() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def source_settings(swift, remote, folder):
    """Return the settings of a service that fetches from this host, its hub and an S3 server, and copies to them."""
    places = "http://127.0.0.1,s3://bucket"
    credentials = {
        "hub": {"token": TOKEN, "use_for": ["hf://acme"]},
        "store": {
            "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "endpoint": swift.endpoint,
            "use_for": ["s3://bucket"],
        },
    }  # fmt: skip
    (folder / "credentials.yaml").write_text(yaml.safe_dump(credentials))
    return {
        "QUANTD_SOURCE_ALLOW": f"{places},hf://acme,https://*.example.org",
        "QUANTD_DESTINATION_ALLOW": places,
        "QUANTD_CREDENTIALS_FILE": str(folder / "credentials.yaml"),
        "QUANTD_HF_ENDPOINT": f"{remote.url}/hub",
        "QUANTD_FETCH_TIMEOUT_S": "10",
    }
