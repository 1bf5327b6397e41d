"""Requests to hosts that must not be reached, or that answer in hostile ways."""

import asyncio

import pytest

from jobs.errors import RemoteFailed, RemoteNotAllowed, TooLarge
from tests.remote import TOKEN, serving
from tests.service.webhooks.lookups import answer_lookups
from worker.remote.http import MayPass, Target, download, read_json, upload

HERE = ("127.0.0.1",)
LIMIT = 1 << 20


@pytest.fixture(scope="module")
def remote():
    with serving() as server:
        server.files["model.onnx"] = b"\x08" * 100_000
        yield server


def fetch(target, limit=LIMIT):
    async def collect():
        return b"".join([chunk async for chunk in download(target, limit)])

    return asyncio.run(collect())


def test_a_file_is_downloaded_through_a_redirect(remote):
    assert fetch(Target(f"{remote.url}/redirect?to=/model.onnx", hosts=HERE)) == remote.files["model.onnx"]


def test_the_name_is_looked_up_once_and_the_checked_address_is_called(monkeypatch, remote):
    answer_lookups(monkeypatch, ["127.0.0.1"])  # a second look-up would fail
    port = remote.server_address[1]
    assert fetch(Target(f"http://models.example.org:{port}/model.onnx", hosts=("models.example.org",)))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
def test_a_public_name_with_a_private_address_is_not_called(monkeypatch, address):
    answer_lookups(monkeypatch, [address])
    with pytest.raises(RemoteNotAllowed, match="not a public address"):
        fetch(Target("https://models.example.org/model.onnx", hosts=("*.example.org",)))


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost/",
        "http://169.254.169.254/latest/",
        "file:///etc/passwd",
        "http://[::1]/",
        "//x/",
        "//b.org:0/",
    ],
)
def test_a_redirect_to_another_host_is_not_followed(remote, location):
    with pytest.raises(RemoteNotAllowed):
        fetch(Target(f"{remote.url}/redirect?to={location}", hosts=HERE))


@pytest.mark.parametrize("location", ["//xn--a/", "//[/", "https://a:b/"])
def test_a_redirect_to_no_url_is_the_failure_of_its_host(remote, location):
    with pytest.raises((RemoteFailed, RemoteNotAllowed)):
        fetch(Target(f"{remote.url}/redirect?to={location}", hosts=HERE))


def test_redirects_end(remote):
    with pytest.raises(RemoteFailed, match="redirects more than 5 times"):
        fetch(Target(f"{remote.url}/loop", hosts=HERE))


def test_a_secret_goes_to_its_host_alone(monkeypatch, remote):
    remote.requests.clear()
    answer_lookups(monkeypatch, ["127.0.0.1"])
    elsewhere = f"http://cdn.example.org:{remote.server_address[1]}/model.onnx"
    secret = {"Authorization": f"Bearer {TOKEN}"}
    target = Target(f"{remote.url}/redirect?to={elsewhere}", secret, (*HERE, "cdn.example.org"))
    fetch(target)
    assert remote.requests == [("/redirect", f"Bearer {TOKEN}"), ("/model.onnx", None)]
    assert TOKEN not in repr(target)


@pytest.mark.parametrize(
    ("path", "error"), [("/announced", TooLarge), ("/bomb", RemoteFailed), ("/missing", RemoteFailed)]
)
def test_a_hostile_answer_is_refused_before_its_body(remote, path, error):
    with pytest.raises(error, match="accepted: "):
        fetch(Target(remote.url + path, hosts=HERE))


def test_a_host_that_does_not_answer_may_do_so_later(remote):
    with serving() as gone:
        url = gone.url
    with pytest.raises(MayPass, match="does not answer") as failed:
        fetch(Target(f"{url}/x?sig={TOKEN}", hosts=HERE))
    assert TOKEN not in str(failed.value)


def test_a_document_that_is_no_json_is_refused(remote):
    with pytest.raises(RemoteFailed, match="JSON"):
        asyncio.run(read_json(Target(f"{remote.url}/model.onnx", hosts=HERE), {}))


def test_a_file_is_put(remote):
    async def chunks():
        yield b"ab"
        yield b"c"

    remote.refusals.append(503)
    target = Target(f"{remote.url}/out/x?sig=1", hosts=HERE)
    with pytest.raises(MayPass, match="status 503"):
        asyncio.run(upload(target, chunks(), 3))
    asyncio.run(upload(target, chunks(), 3))
    assert remote.got["/out/x?sig=1"] == b"abc"
