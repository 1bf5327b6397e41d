"""The worker's side of a sandbox: its refused system calls, and the writable space of a job's process."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from errno import ENOSYS

import structlog

from worker.protocol import Logged
from worker.system_calls import name_of

MAX_REPORTED = 16
"""The number of refused calls of a job that are reported, repetitions included; later ones fail without a report."""
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
_NOTIFICATION = struct.Struct("=QIIi60x")
_RESPONSE = struct.Struct("=Qqi4x")

log = structlog.get_logger()


class Supervision:
    """The descriptors that a job's process sends from its sandbox, before it reads its job.

    `socket` is the end of the process. `space` is the descriptor of the writable space, if that is in memory.
    """

    def __init__(self) -> None:
        self._received, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener: int | None = None
        self.space: int | None = None
        self._calls: list[str] = []

    def descriptors(self) -> list[int]:
        """Return the open descriptors; one that is readable is given to `read`."""
        waiting = [self._received.fileno(), self._listener]
        return [descriptor for descriptor in waiting if descriptor is not None and descriptor >= 0]

    def read(self, descriptor: int) -> Iterator[Logged]:
        """Read from a readable descriptor; yield messages for the log of the job."""
        if descriptor == self._listener:
            yield from self._refuse(descriptor)
        else:
            self.receive()

    def close(self) -> None:
        """Close everything: further refused calls are not reported, and the writable space is gone."""
        self._received.close()
        self.socket.close()
        self._stop_listening()
        if self.space is not None:
            os.close(self.space)
            self.space = None

    def receive(self) -> None:
        """Take the descriptors that the process sends in its only message, if it has sent them."""
        if self._received.fileno() < 0:
            return
        try:
            names, descriptors, _, _ = socket.recv_fds(self._received, 1024, 4, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        received = dict(zip(names.decode().split(), descriptors, strict=True))
        self._listener, self.space = received.get("listener"), received.get("space")
        self._received.close()

    def _refuse(self, listener: int) -> Iterator[Logged]:
        """Refuse the call that waits for an answer; yield a message if it is the first of its name."""
        notification = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, notification)
            identifier, pid, _, call = _NOTIFICATION.unpack(notification)
            fcntl.ioctl(listener, _SEND, _RESPONSE.pack(identifier, 0, -ENOSYS))
        except OSError:  # the process has ended
            self._stop_listening()
            return
        name = name_of(call)
        if name not in self._calls:
            log.warning("system call refused", call=name, pid=pid)
            message = f"the sandbox refused the system call {name}, which no known job needs; the job goes on"
            yield Logged(event="log", level="warning", message=message)
        self._calls.append(name)
        if len(self._calls) >= MAX_REPORTED:
            self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            os.close(self._listener)
            self._listener = None
