"""Name lookups with prepared answers, and a delivery that uses them."""

import asyncio
import socket

from jobs.job import Webhook
from service.webhooks.request import deliver


def send(url, allowed):
    """Deliver an empty message to a URL and return the status."""
    return asyncio.run(deliver(Webhook(url=url), "{}", "msg_1", allowed))


def answer_lookups(monkeypatch, *answers):
    """Answer each lookup of a test name with the next list of addresses; a lookup too many fails."""
    remaining = list(answers)
    real = socket.getaddrinfo

    def look_up(host, port, *args, **options):
        if str(host).endswith((".example.org", ".test")):
            return [info for address in remaining.pop(0) for info in real(address, port, *args, **options)]
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
