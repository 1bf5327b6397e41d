"""Texts that are safe to print."""

import pytest

from quantd.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/layer3/conv2 [é] 层", "/layer3/conv2 [é] 层"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\n::error::b", "a\\n::error::b"),
        ("a\u202eb", "a\\u202eb"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_characters_that_change_a_terminal_are_escaped(text, shown):
    assert printable(text) == shown
