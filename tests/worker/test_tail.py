"""The end of a pipe is kept."""

import os

from worker.tail import SIZE, Tail


def test_the_end_is_kept_after_the_pipe_is_closed():
    tail = Tail()
    for number in range(5):
        os.write(tail.writer, bytes([65 + number]) * (SIZE // 2))
        tail.read()
    os.close(tail.writer)
    assert tail.end() == b"D" * (SIZE // 2) + b"E" * (SIZE // 2)
    assert tail.descriptors() == []
    assert tail.end()[-1:] == b"E"


def test_an_empty_pipe_is_not_waited_for():
    tail = Tail()
    assert tail.end() == b""
    assert len(tail.descriptors()) == 1
    tail.close()
    os.close(tail.writer)
