"""`quantd keys` on an embedded service that is not running."""

import json

from tests.command import quantd


def test_a_key_is_created_listed_without_its_secret_and_revoked(tmp_path):
    where = ("--state-dir", tmp_path)
    created = json.loads(quantd("keys", "create", "--tenant", "a", "--scope", "read", "--json", *where).stdout)
    assert created["key"].startswith(f"qd_{created['id']}_")
    assert quantd("keys", "revoke", created["id"], *where).returncode == 0
    listed = quantd("keys", "list", "--json", *where).stdout
    (key,) = json.loads(listed)
    assert (key["tenant"], key["scopes"], bool(key["revoked_at"])) == ("a", ["read"], True)
    assert created["key"] not in listed


def test_an_invalid_tenant_is_exit_3(tmp_path):
    refused = quantd("keys", "create", "--tenant", "../x", "--state-dir", tmp_path)
    assert (refused.returncode, "accepted" in refused.stderr) == (3, True)
