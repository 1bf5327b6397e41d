"""The locations of sources and destinations."""

import pytest

from jobs.errors import BadRequest, RemoteNotAllowed
from jobs.remote.locations import check_allowed, parse_location
from jobs.remote.rules import parse_rules

EVERYWHERE = parse_rules("https://*, s3://*, hf://*, mlflow:/*")


@pytest.mark.parametrize(
    ("text", "place", "path", "filename"),
    [
        ("https://a.example.org/x/net%201.onnx?sig=1", "a.example.org", "/x/net 1.onnx", "net 1.onnx"),
        ("s3://bucket/a/net.onnx", "bucket", "a/net.onnx", "net.onnx"),
        ("hf://acme/net/onnx/net.onnx", "acme", "net@main/onnx/net.onnx", "net.onnx"),
        ("hf://acme/net@v1.0/net.onnx", "acme", "net@v1.0/net.onnx", "net.onnx"),
        ("mlflow:/net/3", "net", "3", "net-3"),
        ("mlflow:/net/3/model.onnx", "net", "3/model.onnx", "model.onnx"),
    ],
)
def test_a_source_is_read(text, place, path, filename):
    location = parse_location(text, "source")
    assert (location.place, location.path, location.filename) == (place, path, filename)
    assert location.shown == text.split("?")[0]
    check_allowed(location, EVERYWHERE, "source")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "ftp://example.org/x", "file:///etc/passwd", "https://", "https://user:secret@example.org/x",
        "s3://bucket", "s3://bucket/", "s3://bucket/a/../b", "s3://B_/x", "hf://acme/net", "hf://acme/net/../x",
        "hf://../net/x", "mlflow:/net", "mlflow:/net/3/../4", "https://example.org/\n", "https://e.org/" + "x" * 4096,
        "https://xn--a.example.org/",
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused(text):
    with pytest.raises(BadRequest, match="accepted: ") as refused:
        parse_location(text, "source")
    assert refused.value.errors[0].pointer == "/source"


@pytest.mark.parametrize("text", ["hf://acme/net/x", "mlflow:/net/3"])
def test_what_only_sources_can_be_is_no_destination(text):
    with pytest.raises(BadRequest):
        parse_location(text, "destination")


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("https://example.org/x", ""),
        ("http://example.org/x", "https://*"),
        ("https://127.0.0.1/x", "https://*.example.org"),
        ("https://example.org:99999/x", "https://*"),
        ("https://example.org:0/x", "https://*"),
        ("https://example.org:-1/x", "https://*"),
        ("s3://other/x", "s3://bucket"),
        ("hf://acme/net/x", "hf://other"),
    ],
)
def test_a_place_without_a_rule_is_not_allowed(text, rules):
    with pytest.raises((RemoteNotAllowed, BadRequest)):
        check_allowed(parse_location(text, "source"), parse_rules(rules), "source")
