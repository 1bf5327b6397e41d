"""A multipart form that is read part by part while it arrives: no part is held in memory or in a temporary file.

Each part is read to its end before the next one, so a file of the form is streamed to the object store like the body of
an upload.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jobs.errors import BadRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


@dataclass(frozen=True)
class Part:
    """A part of a form: the name of its field, the name of its file (None for a text) and its bytes in chunks."""

    name: str
    filename: str | None
    chunks: AsyncIterator[bytes]

    async def text(self, limit: int) -> str:
        """Return the part as text; bytes that are no UTF-8 are replaced.

        Raises:
            BadRequest: it has more than `limit` bytes.
        """
        data = bytearray()
        async for chunk in self.chunks:
            data += chunk
            if len(data) > limit:
                raise BadRequest(f"the field {self.name!r} is longer than {limit} bytes; accepted: up to {limit}")
        return data.decode(errors="replace")


def is_form(request: Request) -> bool:
    """Return True if the body is a multipart form."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def form_parts(request: Request) -> AsyncIterator[Part]:
    """Yield the parts of a form in their order; what is not read of a part is skipped.

    Raises:
        BadRequest: the body cannot be read as a form, or ends early.
    """
    source = _Source(request)
    while (heading := await source.next_heading()) is not None:
        yield Part(heading.name, heading.filename, source.chunks())


@dataclass(frozen=True)
class _Heading:
    """The beginning of a part."""

    name: str
    filename: str | None


class _End:
    """The end of a part."""


_Event = _Heading | bytes | _End


@dataclass
class _Headers:
    """The headers of the part that is parsed."""

    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""


class _Source:
    """The events of a form's parser: headings, bytes and ends of parts, parsed as the body arrives."""

    def __init__(self, request: Request) -> None:
        _, options = parse_options_header(request.headers.get("content-type", ""))
        self._body = request.stream()
        self._events: deque[_Event] = deque()
        self._headers = _Headers()
        self._complete = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(options[b"boundary"], callbacks)
        except (KeyError, FormParserError):
            raise BadRequest(
                "the form's Content-Type has no usable boundary; accepted: one of 1 to 70 characters"
            ) from None

    async def next_heading(self) -> _Heading | None:
        """Return the beginning of the next part, or None at the end of the form."""
        while (event := await self._next()) is not None:
            if isinstance(event, _Heading):
                return event
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the part that has begun, up to its end."""
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> _Event | None:
        """Return the next event, or None at the end of the form."""
        while not self._events:
            chunk = await anext(self._body, None)
            if chunk is None:
                if not self._complete:
                    raise BadRequest("the form ends before its closing boundary; accepted: multipart/form-data")
                return None
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise BadRequest(f"the form cannot be read: {error}; accepted: multipart/form-data") from None
        return self._events.popleft()

    def _on_part_begin(self) -> None:
        self._headers = _Headers()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._headers.name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._headers.value += data[start:end]

    def _on_header_end(self) -> None:
        headers = self._headers
        if headers.name.lower() == b"content-disposition":
            headers.disposition = bytes(headers.value)
        headers.name.clear()
        headers.value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.disposition)
        if b"name" not in options:
            raise BadRequest("a part of the form has no name; accepted: Content-Disposition with a name")
        filename = options.get(b"filename")
        name = options[b"name"].decode(errors="replace")
        self._events.append(_Heading(name, None if filename is None else filename.decode(errors="replace")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(_End())

    def _on_end(self) -> None:
        self._complete = True
