"""The end of what a process writes, read from a pipe: a flood fills no disk."""

import contextlib
import os

SIZE = 1 << 16


class Tail:
    """The last `SIZE` bytes written to a pipe; `writer` is the descriptor to write to."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._is_open, self._end = True, b""

    def descriptors(self) -> list[int]:
        """Return the descriptor to read from, until the pipe is closed at its other end."""
        return [self._reader] if self._is_open else []

    def read(self) -> bool:
        """Read once without waiting; return True if there was something."""
        data = b""
        if self._is_open:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._reader, SIZE)
                if not data:
                    self.close()
        self._end = (self._end + data)[-SIZE:]
        return bool(data)

    def end(self) -> bytes:
        """Read a full pipe at most, and return the end."""
        for _ in range(32):  # a grandchild may write for ever
            if not self.read():
                break
        return self._end

    def close(self) -> None:
        """Close the pipe; the end stays."""
        if self._is_open:
            os.close(self._reader)
        self._is_open = False
