"""Forms that are read part by part: chunks of any size give the same parts, and a damaged form is refused."""

import asyncio

import pytest
from fastapi import Request

from jobs.errors import BadRequest
from service.uploads.form import form_parts

FILE = bytes(range(256)) * 40 + b"\r\n--x\r\n--boundar"
FORM = (
    b'--boundary\r\nContent-Disposition: form-data; name="spec"\r\n\r\npreset: int8\r\n'
    b'--boundary\r\nContent-Type: application/octet-stream\r\nContent-Disposition: form-data; name="model"; '
    b'filename="\xc3\xa4 b.onnx"\r\n\r\n' + FILE + b"\r\n"
    b'--boundary\r\nContent-Disposition: form-data; name="empty"\r\n\r\n\r\n'
    b"--boundary--\r\n"
)


def sent(body, size, content_type="multipart/form-data; boundary=boundary"):
    """Return a request whose body arrives in chunks of `size` bytes."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    return Request({"type": "http", "headers": [(b"content-type", content_type.encode())]}, receive)


def read(request, skip=False):
    """Return the name, the file name and the bytes of each part; with `skip` no bytes are read."""

    async def parts():
        return [
            (part.name, part.filename, b"" if skip else b"".join([chunk async for chunk in part.chunks]))
            async for part in form_parts(request)
        ]

    return asyncio.run(parts())


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000, 1 << 20])
def test_a_form_has_the_same_parts_in_chunks_of_any_size(size):
    assert read(sent(FORM, size)) == [
        ("spec", None, b"preset: int8"),
        ("model", "ä b.onnx", FILE),
        ("empty", None, b""),
    ]


def test_bytes_that_are_not_read_are_skipped():
    assert [name for name, _, _ in read(sent(FORM, 100), skip=True)] == ["spec", "model", "empty"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (FORM[:-20], "multipart/form-data; boundary=boundary"),
        (b"", "multipart/form-data; boundary=boundary"),
        (FORM, "multipart/form-data; boundary=other"),
        (FORM, "multipart/form-data"),
        (FORM, "multipart/form-data; boundary=" + "b" * 300),
        (FORM.replace(b'name="spec"', b""), "multipart/form-data; boundary=boundary"),
        (FORM.replace(b"Content-Type: ", b"Content Type: "), "multipart/form-data; boundary=boundary"),
        (FORM.replace(b"octet-stream", b"x" * 100_000), "multipart/form-data; boundary=boundary"),
    ],
)
def test_a_damaged_form_is_refused(body, content_type):
    with pytest.raises(BadRequest, match="accepted"):
        read(sent(body, 50, content_type))


def test_a_text_has_a_limit():
    async def texts(limit):
        return [await part.text(limit) async for part in form_parts(sent(FORM, 100)) if part.name == "spec"]

    assert asyncio.run(texts(12)) == ["preset: int8"]
    with pytest.raises(BadRequest, match="'spec' is longer than 11 bytes"):
        asyncio.run(texts(11))
