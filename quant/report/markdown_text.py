"""Texts of an unknown model in Markdown: names as code, and sentences without markup, links or mentions."""

import re
from collections.abc import Iterable, Sequence

LONGEST_NAME = 100
"""The most characters of a name that are shown."""
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""White space, control characters, and characters that change the direction of text."""
_MARKUP = re.compile(r"([\\`*_\[\]<>~|&$])")
_LINKS = re.compile(r"(@|://|#(?=\d)|!(?=\d)|\bGH-|\bwww\.)", re.IGNORECASE)
"""The beginnings of mentions, addresses and references to issues, which GitHub and GitLab turn into links."""
_BREAK = "&#8203;"
"""A space without width, which ends such a link."""


def code(name: str) -> str:
    """Return a name as a code span, in which neither Markdown, HTML nor mentions are recognised.

    A longer name is shortened in its middle. A broken bar stands for a vertical bar, which would end a table's cell.
    """
    text = one_line(name).replace("|", "¦")
    if len(text) > LONGEST_NAME:
        head = LONGEST_NAME // 2
        text = f"{text[:head]}…{text[-(LONGEST_NAME - head - 1) :]}"
    longest_run = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest_run + 1)
    padding = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def plain(sentence: str, names: Iterable[str] = ()) -> str:
    """Return a sentence without any markup; each of `names` that it has in backquotes becomes a code span."""
    quoted = {f"`{name}`" for name in names}
    spans = "|".join(re.escape(span) for span in sorted(quoted, key=len, reverse=True) if span in sentence)
    parts = re.split(f"({spans})", sentence) if spans else [sentence]
    return "".join(code(part[1:-1]) if number % 2 else _escaped(part) for number, part in enumerate(parts))


def fenced(lines: Sequence[str], language: str) -> list[str]:
    """Return lines as a block of code, in which nothing is recognised; its fence is longer than any within."""
    longest_run = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest_run + 1)
    return [f"{fence}{language}", *lines, fence]


def one_line(text: str) -> str:
    """Return a text on one line, without control characters and without white space at its ends."""
    return _SPACES.sub(" ", text).strip()


def _escaped(text: str) -> str:
    escaped = _MARKUP.sub(r"\\\1", _SPACES.sub(" ", text))
    return _LINKS.sub(lambda match: match[0] + _BREAK, escaped)
