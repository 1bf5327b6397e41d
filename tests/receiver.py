"""A receiver of webhooks."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """A server that stores its requests and answers with the next status of `answers`, then always with the last."""

    def __init__(self, *answers, headers=()):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.headers, self.got = list(answers), headers, []
        self.port = self.server_address[1]

    def wait(self, count, within_s=30):
        deadline = time.monotonic() + within_s
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} requests came"
            time.sleep(0.05)
        return self.got


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body.decode()))
        self.send_response(self.server.answers[min(len(self.server.got), len(self.server.answers)) - 1])
        for name, value in self.server.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receiving(*answers, **options):
    with Receiver(*answers, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
