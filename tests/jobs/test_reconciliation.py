"""Redis is compared with the object store at the start, when it comes back, and regularly, by one gateway at a time."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from jobs import epochs as epochs_module
from jobs import reconciliation
from jobs.epochs import DOCUMENT, Epochs, LeaseLost
from jobs.errors import Unavailable
from jobs.journal import KEPT_S
from jobs.keys import Keys
from jobs.process import start, stop
from jobs.queue import make_queue
from jobs.reconciliation import Reconciliation, Stopped
from jobs.redis_keys import EPOCH, RESTORER
from jobs.reindex import Restored, Restorer
from jobs.valkey import Valkey


@pytest.fixture
def client(valkey, records):
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def another_run(client):
    """Return a function that makes the epoch that of an earlier run of the server, some seconds behind."""

    def change(behind=0.0):
        time_s, _, _ = client.get(EPOCH).partition(" ")
        client.set(EPOCH, f"{float(time_s) - behind!r} earlier")

    return change


@pytest.fixture
def gateway(valkey, records, blobs, archive):
    """Return a function that returns the epochs and the comparisons of a gateway that starts."""

    def start():
        epochs = Epochs(valkey.url, blobs)
        restorer = Restorer(records, archive, Keys(valkey.url, blobs), make_queue(valkey.url, 60))
        return epochs, Reconciliation(epochs, restorer)

    return start


def test_an_empty_index_answers_nothing_until_it_is_restored(gateway, client, store, submit):
    job = submit(store())
    client.flushall()
    epochs, comparisons = gateway()
    with pytest.raises(Unavailable, match="being compared"):
        epochs.check()
    assert comparisons.step() == Restored(uploads=1, jobs=1, queued=1)
    epochs.check()
    assert comparisons.step() is None  # it is not time yet
    client.flushall()
    with pytest.raises(Unavailable):
        epochs.check()
    assert comparisons.step().jobs == 1
    epochs.check()
    assert client.exists(f"qd:job:{job.id}")


@pytest.mark.parametrize(("behind", "found"), [(10, 1), (KEPT_S / 2, 1), (2 * KEPT_S, 2)])
def test_an_older_index_is_restored_from_the_journal_or_as_a_whole(
    gateway, client, another_run, blobs, store, submit, behind, found
):
    """Check that a document without an entry in the journal is found if the index is far behind."""
    model = store()
    gateway()[1].step()
    submit(model), submit(model)
    for job in client.keys("qd:job:job_*"):
        client.delete(job)
    blobs.delete(next(entry for entry in blobs.keys("_journal") if ":jobs:" in entry))
    another_run(behind)
    epochs, comparisons = gateway()
    with pytest.raises(Unavailable, match="being compared"):
        epochs.check()
    assert comparisons.step().jobs == found
    epochs.check()
    assert float(client.get(EPOCH).split()[0]) == float(blobs.read(DOCUMENT))


def test_of_several_gateways_one_restores(gateway, client, store, submit):
    model = store()
    jobs = [submit(model) for _ in range(30)]
    client.flushall()
    gateways = [gateway()[1] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        restored = [each for each in pool.map(lambda each: each.step(), gateways) if each is not None]
    assert sum(each.jobs for each in restored) == len(jobs)
    assert [each.jobs for each in restored if each.jobs] == [len(jobs)]
    assert client.llen("celery") == len(jobs)
    assert not client.exists(RESTORER)


def test_another_gateway_takes_over_when_the_lease_has_expired(gateway, client, store):
    store()
    client.flushall()
    client.set(RESTORER, "killed", ex=60)
    _, comparisons = gateway()
    assert comparisons.step() is None
    client.pexpire(RESTORER, 1)
    time.sleep(0.05)
    assert comparisons.step().uploads == 1


def test_an_index_that_is_emptied_while_it_is_restored_is_not_taken_for_complete(
    gateway, client, store, submit, monkeypatch
):
    model = store()
    submit(model)
    client.flushall()
    epochs, comparisons = gateway()
    restore_all = Restorer.restore_all

    def emptied(self, alive):
        restored = restore_all(self, alive)
        client.flushall()
        return restored

    monkeypatch.setattr(Restorer, "restore_all", emptied)
    with pytest.raises(LeaseLost):
        comparisons.step()
    with pytest.raises(Unavailable):
        epochs.check()
    monkeypatch.undo()
    assert comparisons.step().jobs == 1
    epochs.check()


def test_another_run_of_the_server_answers_nothing_until_it_is_compared(gateway, client, another_run, store, submit):
    model = store()
    (epochs, comparisons), (other_epochs, other) = gateway(), gateway()
    comparisons.step()
    job = submit(model)
    client.delete(f"qd:job:{job.id}")
    assert comparisons.step() is None
    another_run()
    for each in (epochs, other_epochs):
        with pytest.raises(Unavailable):
            each.check()
    assert comparisons.step().jobs == 1
    assert comparisons.step() is other.step() is None
    for each in (epochs, other_epochs):
        each.check()


def test_the_run_of_the_server_is_learnt_with_each_connection(tmp_path, blobs):
    valkey = Valkey(tmp_path)
    try:
        epochs = Epochs(valkey.url, blobs)
        server = epochs.look().server
        stop(valkey.process)
        valkey.process = start(valkey.process.args, tmp_path / "valkey.log")
        valkey._wait()
        assert epochs.look().server not in ("", server)
    finally:
        valkey.stop()


def test_the_journal_is_compared_regularly(gateway, client, store, submit, monkeypatch):
    monkeypatch.setattr(reconciliation, "EVERY_S", 0.2)
    model = store()
    _, comparisons = gateway()
    comparisons.step()
    client.delete(f"qd:job:{submit(model).id}")
    time.sleep(0.25)
    assert comparisons.step().jobs == 1


@pytest.mark.parametrize("clock", [-3600.0, 3600.0])
def test_the_clock_of_another_server_changes_nothing(gateway, client, store, submit, monkeypatch, clock):
    monkeypatch.setattr(reconciliation, "EVERY_S", 0.0)
    model = store()
    epochs, comparisons = gateway()
    comparisons.step()
    monkeypatch.setattr(epochs_module, "server_time", lambda client: time.time() + clock)
    for _ in range(2):
        client.delete(f"qd:job:{submit(model).id}")
        assert comparisons.step().jobs == 1
        epochs.check()
        monkeypatch.setattr(epochs_module, "server_time", lambda client: time.time())


def test_a_gateway_that_stops_ends_its_comparison(gateway, client, store):
    store()
    client.flushall()
    epochs, comparisons = gateway()
    comparisons.stop()
    with pytest.raises(Stopped):
        comparisons.step()
    assert not client.exists(RESTORER)
    with pytest.raises(Unavailable):
        epochs.check()


def test_an_epoch_that_is_no_number_is_none(gateway, client, blobs):
    blobs.put(DOCUMENT, b"\xff")
    client.set(EPOCH, "nan")
    epochs, comparisons = gateway()
    assert comparisons.step() == Restored()
    epochs.check()
