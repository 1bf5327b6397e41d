"""Checks of a webhook's URL and of the addresses behind its host."""

import pytest

from jobs.remote.addresses import AddressRefused, check_url
from tests.service.webhooks.lookups import answer_lookups, send


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.example.org/x", ["*"]),
        ("https://a.example.org:8443/x", ["*.example.org"]),
        ("https://A.EXAMPLE.org/", ["a.example.org"]),
        ("http://hooks.internal/", ["*.example.org", "hooks.internal"]),
    ],
)
def test_an_allowed_host_is_accepted(url, allowed):
    check_url(url, allowed)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data", "https://[::1]/", "http://localhost/", "http://127.0.0.1.nip.io/",
        "http://hooks.example.org/", "ftp://127.0.0.1/", "https://user:secret@hooks.example.org/", "file:///etc/passwd",
        "//127.0.0.1/", "https://", "https://evil.org/?.example.org", "https://example.org", "http://2130706433/",
        "http://0x7f.1/", "x", "", "http://127.0.0.1:99999/", "https://a.example.org:x/",
        "https://xn--a.example.org/",
    ],
)  # fmt: skip
def test_a_forbidden_host_is_refused_at_submission(submit, model, url):
    refused = submit(model, url)
    assert (refused.status_code, refused.json()["code"]) == (400, "request.invalid")
    assert refused.json()["errors"][0]["pointer"] == "/webhook/url"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "fec0::1", "64:ff9b:1::8.8.8.8", "::127.0.0.1", "::8.8.8.8", "192.88.99.1", "192.0.0.8", "3fff::1", "5f00::1",
        "100::1", "2001:2::1", "2001:db8::1", "4000::1", "ff0e::1", "2001:0:7f00:1::80ff:fffe",
    ],
)  # fmt: skip
def test_a_public_name_with_a_private_address_is_not_called(monkeypatch, address):
    answer_lookups(monkeypatch, [address])
    with pytest.raises(AddressRefused, match="not a public address"):
        send("https://hook.example.org/", ["*"])


@pytest.mark.parametrize("host", [f"{'a' * 64}.example.org", f"{'a.' * 130}example.org", "a..example.org"])
def test_a_name_that_no_server_can_hold_is_refused_at_submission(submit, model, host):
    refused = submit(model, f"https://{host}/")
    assert (refused.status_code, refused.json()["code"]) == (400, "request.invalid")


def test_one_private_address_among_public_ones_is_refused(monkeypatch):
    answer_lookups(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(AddressRefused, match="not a public address"):
        send("https://hook.example.org/", ["*"])
