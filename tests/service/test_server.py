"""The gateway's command line."""

import sys

import pytest

from service.server import main


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_a_public_address_without_keys_is_refused(monkeypatch, capsys, host):
    monkeypatch.setattr(sys, "argv", ["service", "--host", host, "--port", "0"])
    assert main() == 3
    assert f"refused on {host}" in capsys.readouterr().err
