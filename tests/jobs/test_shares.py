"""Share links: signed tokens of records that expire and can be revoked."""

import pytest
import redis

from jobs.errors import IdempotencyMismatch, NotFound, TooManyShares
from jobs.job import Job, Status, new_id, now
from jobs.shares import MAX_SHARES, Shares


@pytest.fixture
def shares(records, valkey):
    return Shares(valkey.url)


def new_job():
    return Job(id=new_id("job"), tenant="vision", status=Status.SUCCEEDED, model="model_1", spec={}, created_at=now())


@pytest.fixture
def job():
    return new_job()


def test_a_token_leads_to_its_share(shares, job):
    share = shares.create(job, 7)
    assert shares.find(shares.token(share)) == share
    assert (share.tenant, share.job) == (job.tenant, job.id)


def test_the_same_share_has_the_same_token_for_every_gateway(shares, valkey, job):
    share = shares.create(job, 1)
    assert Shares(valkey.url).token(share) == shares.token(share)


@pytest.mark.parametrize("change", ["id", "signature", "none", "swapped", "case", "padding"])
def test_a_token_that_was_not_signed_is_refused(shares, job, change):
    share, other = shares.create(job, 7), shares.create(job, 7)
    share_id, _, signature = shares.token(share).partition(".")
    forged = {
        "id": f"{share_id[:-1]}{'0' if share_id[-1] != '0' else '1'}.{signature}",
        "signature": f"{share_id}.{signature[1:]}A",
        "none": share_id,
        "swapped": f"{other.id}.{signature}",
        "case": f"{share_id}.{signature.swapcase()}",
        "padding": f"{share_id}.{signature}=",
    }[change]
    with pytest.raises(NotFound, match="ask its sender"):
        shares.find(forged)


@pytest.mark.parametrize("token", ["", ".", "é.é", "*", "share_*.x"])
def test_a_malformed_token_is_refused(shares, token):
    with pytest.raises(NotFound):
        shares.find(token)


def test_neither_the_token_nor_the_signature_is_stored(shares, job, valkey):
    token = shares.token(shares.create(job, 7))
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        names = client.keys("*")
        values = [client.get(name) for name in names if client.type(name) == "string"]
    assert token.partition(".")[2] not in " ".join([*names, *values])


def test_a_share_expires_after_its_days(shares, job, valkey):
    share = shares.create(job, 1)
    with redis.Redis.from_url(valkey.url) as client:
        assert 86390 <= client.ttl(f"qd:share:{share.id}") <= 86400
        client.expire(f"qd:share:{share.id}", 0)
    with pytest.raises(NotFound):
        shares.find(shares.token(share))
    assert shares.list(job) == []


def test_a_revoked_share_is_refused_and_the_others_stay(shares, job):
    revoked, valid = shares.create(job, 7), shares.create(job, 30)
    shares.revoke(revoked)
    with pytest.raises(NotFound):
        shares.find(shares.token(revoked))
    assert shares.list(job) == [valid]
    assert shares.find(shares.token(valid)) == valid


def test_shares_are_listed_newest_first_for_their_job_only(shares):
    job, other = new_job(), new_job()
    created = [shares.create(job, days) for days in (1, 7, 30)]
    assert {share.id for share in shares.list(job)} == {share.id for share in created}
    assert [share.id for share in shares.list(job)] == sorted((share.id for share in created), reverse=True)
    assert shares.list(other) == []
    with pytest.raises(NotFound):
        shares.get(other, created[0].id)


def test_the_number_of_valid_shares_of_a_job_is_limited(shares, job):
    created = [shares.create(job, 1) for _ in range(MAX_SHARES)]
    with pytest.raises(TooManyShares, match="revoke one"):
        shares.create(job, 1)
    shares.revoke(created[0])
    shares.create(job, 1)


def test_the_same_idempotency_key_creates_one_share(shares, job):
    first = shares.create(job, 7, "key")
    assert shares.create(job, 7, "key") == first
    assert shares.list(job) == [first]
    with pytest.raises(IdempotencyMismatch):
        shares.create(job, 30, "key")


def test_an_idempotency_key_of_a_revoked_share_creates_a_new_one(shares, job):
    first = shares.create(job, 7, "key")
    shares.revoke(first)
    second = shares.create(job, 7, "key")
    assert second.id != first.id
    assert shares.create(job, 7, "key") == second
