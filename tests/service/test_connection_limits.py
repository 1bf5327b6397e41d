"""Connections are limited in number, in the length of a head and in slowness, over real sockets."""

import socket
import threading
import time

import pytest
import uvicorn

from service.connection_limits import ConnectionLimits, LimitedProtocol, connection_limits

LIMITS = ConnectionLimits(connections=8, of_an_address=6, head_bytes=2000, head_s=0.4, idle_s=0.4)
LONG = b"a" * 5000


async def app(scope, receive, send):
    """Answer with the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await send({"type": "http.response.body", "body": b"%08d" % size})


@pytest.fixture
def port():
    """The port of a server with these limits."""
    protocol = type("Protocol", (LimitedProtocol,), {"limits": LIMITS})
    protocol.open_by_address.clear()
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answer(connection, *pieces, pause=0.0):
    """Send the pieces and return all that comes back until the connection is closed."""
    for piece in pieces:
        try:
            connection.sendall(piece)
        except OSError:  # the server has closed it
            break
        time.sleep(pause)
    got = b""
    try:
        while data := connection.recv(1 << 16):
            got += data
    except ConnectionError:
        pass
    return got


def status(got):
    return int(got.split()[1]) if got else None


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + LONG + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + LONG + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 1000 + b"\r\n", b"GET /" + LONG, b"GET / HTTP/1.1\r\nX: " + LONG,
    ],
    ids=["line", "header", "headers", "unfinished line", "unfinished header"],
)  # fmt: skip
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_a_long_head_is_refused(port, head, size):
    with connect(port) as connection:
        pieces = [head[at : at + size] for at in range(0, len(head), size)]
        assert status(answer(connection, *pieces)) == 431


@pytest.mark.parametrize("pieces", [[], [b"GET /"], [b"GET / HTTP/1.1\r\n", b"X: ", *[b"a"] * 20]])
def test_a_head_that_comes_slowly_is_refused(port, pieces):
    with connect(port) as connection:
        assert status(answer(connection, *pieces, pause=0.1)) == 408


def test_a_body_that_stops_is_cut_and_one_that_goes_on_is_not(port):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n"
    with connect(port) as slow:
        assert answer(slow, head, *[b"a"] * 8, pause=0.1).endswith(b"00000008")
    with connect(port) as stopped:
        assert answer(stopped, head, b"a") == b""


def test_connections_over_the_limit_are_refused_and_the_others_served(port):
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    held = [connect(port) for _ in range(LIMITS.of_an_address)]
    time.sleep(0.1)
    with connect(port) as late:
        assert status(answer(late)) == 503
    assert [status(answer(connection, request)) for connection in held] == [200] * len(held)
    for connection in held:
        connection.close()
    with connect(port) as again:
        assert status(answer(again, request)) == 200


def test_the_limits_leave_descriptors_free():
    limits = connection_limits()
    assert 0 < limits.of_an_address <= limits.connections
