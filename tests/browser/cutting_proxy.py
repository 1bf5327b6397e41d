"""A proxy before the service that cuts a connection after some bytes of the browser, once."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class CuttingProxy:
    """A TCP proxy at `url`: it cuts the first connection over which a browser has sent more than `limit` bytes."""

    def __init__(self, service_url: str, limit: int) -> None:
        self._address = (urlsplit(service_url).hostname, urlsplit(service_url).port)
        self._limit = limit
        self.has_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "CuttingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                browser, _ = self._listener.accept()
                service = socket.create_connection(self._address)
                threading.Thread(target=self._forward, args=(browser, service), daemon=True).start()
                threading.Thread(target=self._return, args=(service, browser), daemon=True).start()

    def _forward(self, browser: socket.socket, service: socket.socket) -> None:
        sent = 0
        with browser, service, contextlib.suppress(OSError):
            while data := browser.recv(1 << 14):
                service.sendall(data)
                sent += len(data)
                if sent > self._limit and not self.has_cut:
                    self.has_cut = True
                    break
            for end in (browser, service):
                end.shutdown(socket.SHUT_RDWR)

    def _return(self, service: socket.socket, browser: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := service.recv(1 << 14):
                browser.sendall(data)
