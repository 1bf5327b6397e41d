"""Digest headers."""

import hashlib

import pytest
from starlette.requests import Request

from jobs.errors import BadRequest
from service.digests import digest_header, sent_sha256

SHA256 = hashlib.sha256(b"x").hexdigest()


def request(**headers):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": pairs})


@pytest.mark.parametrize("name", ["content_digest", "repr_digest"])
def test_a_digest_is_read_from_either_header(name):
    assert sent_sha256(request(**{name: f"md5=:AA==:, {digest_header(SHA256)}"})) == SHA256


def test_no_header_is_no_digest():
    assert sent_sha256(request()) is None


@pytest.mark.parametrize("header", ["sha-256=:AAAA:", "sha-256=abc", "md5=:AA==:", ""])
def test_an_unreadable_digest_is_refused(header):
    with pytest.raises(BadRequest, match="accepted: sha-256="):
        sent_sha256(request(repr_digest=header))
