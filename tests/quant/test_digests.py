"""Digests of files, and JSON that is equal for equal documents."""

import hashlib

import pytest

from quant.digests import FileDigest, canonical_json, sha256_of, write


def test_a_written_file_has_the_digest_that_reading_it_gives(tmp_path):
    data = bytes(range(256)) * 100
    digest = write(tmp_path / "file", data)
    assert digest == FileDigest.read(tmp_path / "file") == FileDigest(25_600, hashlib.sha256(data).hexdigest())
    assert sha256_of(data) == digest.sha256


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": [1, 2.5], "a": None}) == canonical_json({"a": None, "b": [1, 2.5]})
    assert canonical_json({"b": 1, "a": "é"}) == b'{"a":"\\u00e9","b":1}'


def test_canonical_json_refuses_what_json_does_not_have():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})
