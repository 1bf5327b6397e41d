"""Keys are random, stored as hashes, and refused once they are revoked."""

import re

import pytest
import redis

from jobs.blobs import Blobs
from jobs.errors import NotFound, Unauthenticated
from jobs.keys import PREFIX, Allowance, Key, Keys, Scope


@pytest.fixture
def client(valkey):
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def keys(valkey, client, tmp_path):
    return Keys(valkey.url, Blobs(tmp_path.as_uri()))


def test_a_key_is_found_by_its_text(keys):
    key, text = keys.create("team", "ci", (Scope.READ,), Allowance(rate=5))
    assert re.fullmatch(r"qd_[0-9a-f]{16}_[\w-]{43}", text)
    assert keys.check(text) == key
    assert (key.tenant, key.name, key.scopes, key.allowance.rate) == ("team", "ci", (Scope.READ,), 5)


def test_no_two_keys_are_the_same(keys):
    assert len({keys.create("t", "", tuple(Scope))[1][20:] for _ in range(50)}) == 50


def test_the_secret_is_not_stored(keys, client, tmp_path):
    key, text = keys.create("team", "", tuple(Scope))
    secret = text.removeprefix(f"qd_{key.id}_")
    kept = [client.get(name) for name in client.keys("qd:key:*")]
    kept += [path.read_text() for path in tmp_path.rglob("*.json")]
    assert len(kept) == 2
    assert not [document for document in kept if secret in document]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: "qd_" + "0" * 16 + text[19:],
        lambda text: text.replace("qd_", "qD_"),
        lambda text: text + "\n",
        lambda text: "qd_" + "０" * 16 + text[19:],
    ],
)
def test_another_text_is_refused(keys, spoil):
    _, text = keys.create("team", "", tuple(Scope))
    with pytest.raises(Unauthenticated):
        keys.check(spoil(text))


def test_a_revoked_key_is_refused_and_stays_listed(keys):
    (first, text), (second, other) = (keys.create("t", "", tuple(Scope)) for _ in range(2))
    revoked = keys.revoke(first.id)
    assert revoked.revoked_at
    assert keys.revoke(first.id) == revoked
    with pytest.raises(Unauthenticated):
        keys.check(text)
    assert keys.check(other) == second
    assert keys.list() == sorted([revoked, second], key=lambda key: (key.created_at, key.id))
    with pytest.raises(NotFound):
        keys.revoke("0" * 16)


def test_keys_are_restored_and_revoked_ones_stay_revoked(keys, client, tmp_path):
    (first, text), (_, gone) = (keys.create("t", "", tuple(Scope)) for _ in range(2))
    keys.revoke(gone[3:19])
    client.flushall()
    assert keys.list() == []
    documents = [Key.model_validate_json(path.read_text()) for path in (tmp_path / PREFIX).iterdir()]
    assert [keys.restore(key) for key in documents] == [True, True]
    assert [keys.restore(key) for key in documents] == [False, False]
    assert keys.check(text) == first
    with pytest.raises(Unauthenticated):
        keys.check(gone)
