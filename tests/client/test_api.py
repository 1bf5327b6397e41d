"""The Python client against a running service, blocking and asynchronous."""

import asyncio
import hashlib
import inspect
import secrets
import typing

import pytest

import quantd
from quantd.errors import ClientError
from tests.client.test_resumable import Cutter
from tests.specs import QUICK


class Waited:
    """An asynchronous client whose methods are waited for, so that both clients take the same tests."""

    def __init__(self, wrapped, run):
        self._wrapped, self._run = wrapped, run

    def __getattr__(self, name):
        value = getattr(self._wrapped, name)
        if not callable(value):
            return value

        def call(*arguments, **options):
            result = value(*arguments, **options)
            if inspect.isasyncgen(result):
                return self._items(result)
            return self._waited(self._run(result)) if inspect.iscoroutine(result) else result

        return call

    def _items(self, generator):
        while True:
            try:
                yield self._waited(self._run(anext(generator)))
            except StopAsyncIteration:
                return

    def _waited(self, value):
        if isinstance(value, list):
            return [self._waited(item) for item in value]
        return Waited(value, self._run) if isinstance(value, quantd.AsyncJob) else value


@pytest.fixture(params=["blocking", "asynchronous"])
def connect(request):
    """Open a client of a service."""
    with asyncio.Runner() as runner:
        opened = []

        async def waited(awaitable):
            return await awaitable

        def run(awaitable):
            return runner.run(waited(awaitable))

        def connect(url):
            if request.param == "blocking":
                client = quantd.Client(url)
                opened.append(lambda: client.__exit__(None, None, None))
                return client.__enter__()
            client = quantd.AsyncClient(url)
            opened.append(lambda: run(client.__aexit__(None, None, None)))
            return Waited(run(client.__aenter__()), run)

        yield connect
        for close in opened:
            close()


@pytest.fixture
def model(examples, tmp_path):
    """A model that is not uploaded yet."""
    note = secrets.token_hex(8).encode()
    path = tmp_path / "m.onnx"
    path.write_bytes((examples / "digits.onnx").read_bytes() + b"\x32" + bytes([len(note)]) + note)
    return path


def test_a_model_is_quantized_reported_and_downloaded(connect, stack, model, examples, tmp_path):
    client, events = connect(stack.url), []
    uploaded = client.upload(model)
    data = client.upload_dataset(examples / "digits_evaluation.npz")
    assert (uploaded.filename, uploaded.size, data.samples) == ("m.onnx", model.stat().st_size, 500)
    spec = {**QUICK, "gates": {"max_size_ratio": 0.01}}
    job = client.quantize(uploaded, spec, evaluation=data, tags={"run": uploaded.id}).wait(events.append)
    assert (job.status, job.has_ended, job.verdict, job.error) == ("succeeded", True, "fail", None)
    assert {event["event"] for event in events} >= {"progress", "state"}
    assert events[-1]["status"] == "succeeded"
    assert [gate.name for gate in job.gates] == ["max_size_ratio"]
    assert job.summary.size_ratio == job.gates[0].value
    report = job.report()
    assert (len(report.layers), report.layers[0].bits, report.document["model"]["name"]) == (7, 8, "m.onnx")
    assert report.summary.output_sqnr_db == job.summary.output_sqnr_db
    job.download(tmp_path / "q.onnx")
    (listed,) = [artifact for artifact in job.artifacts() if artifact.name == "model.onnx"]
    assert hashlib.sha256((tmp_path / "q.onnx").read_bytes()).hexdigest() == listed.sha256
    assert job.read("report.html").startswith(b"<!doctype html>")
    assert [item.id for item in client.jobs(tag=f"run:{uploaded.id}")] == [job.id]
    assert client.compare(job.id, job.id)["same_model"] is True
    assert client.job(job.id).document == job.document
    job.delete()
    with pytest.raises(ClientError, match="no job"):
        job.refresh()


def test_a_job_that_fails_is_an_error_unless_it_is_not_checked(connect, stack, model):
    client = connect(stack.url)
    model.write_bytes(model.read_bytes()[:-500])
    with pytest.raises(ClientError, match=f"^{model}: the file does not start like a dataset"):
        client.upload_dataset(model)
    job = client.quantize(client.upload(model), QUICK)
    with pytest.raises(quantd.JobFailed, match=r"model\.unreadable"):
        job.wait()
    assert job.wait(check=False).error.code == "model.unreadable"


def test_a_refused_spec_is_an_error_with_the_problem_of_the_service(connect, stack, uploaded):
    with pytest.raises(ClientError) as error:
        connect(stack.url).quantize(uploaded["model"], {"preset": "int9"})
    assert error.value.document()["code"] == "spec.invalid"


def test_a_source_that_is_not_allowed_is_an_error(connect, stack, uploaded):
    client = connect(stack.url)
    for add in (client.add_model, client.add_dataset):
        with pytest.raises(ClientError, match="not allowed here; accepted: none") as error:
            add("https://example.org/x.onnx", filename="x.onnx", credentials="hub")
        assert error.value.document()["code"] == "remote.not_allowed"
    with pytest.raises(ClientError, match="not allowed here"):
        client.quantize(uploaded["model"], QUICK, destination="https://example.org/out")


def test_a_plan_is_waited_for(connect, stack, uploaded):
    assert len(connect(stack.url).plan(uploaded["model"], {"preset": "int8-weights"})["layers"]) == 7


def test_a_large_upload_goes_on_after_an_interruption(connect, stack, model, monkeypatch):
    monkeypatch.setattr("quantd.upload.RESUMABLE_BYTES", 1000)
    monkeypatch.setattr("quantd.retry.PAUSES_S", (0.1,) * 3)
    proxy, calls = Cutter(stack.url, cuts=2, after=100_000), []
    uploaded = connect(proxy.url).upload(model, lambda sent, size: calls.append(sent))
    proxy.close()
    assert (uploaded.size, calls[-1]) == (model.stat().st_size,) * 2
    assert proxy.sent < uploaded.size + 100_000


def test_the_same_key_submits_one_job(connect, stack, uploaded):
    client, key = connect(stack.url), secrets.token_hex(8)
    jobs = [client.quantize(uploaded["model"], QUICK, idempotency_key=key) for _ in range(2)]
    assert jobs[0].id == jobs[1].id


@pytest.mark.parametrize(
    ("blocking", "asynchronous"), [(quantd.Client, quantd.AsyncClient), (quantd.Job, quantd.AsyncJob)]
)
def test_both_clients_have_the_same_methods_with_the_same_parameters(blocking, asynchronous):
    def methods(kind):
        public = {name: value for name, value in vars(kind).items() if not name.startswith("_")}
        return {name: list(inspect.signature(value).parameters) for name, value in public.items()}

    assert methods(blocking) == methods(asynchronous)


def test_every_public_name_is_exported_and_typed():
    for name in quantd.__all__:
        assert getattr(quantd, name).__name__ == name
    assert typing.get_type_hints(quantd.Client.upload)["return"] is quantd.Model
    with pytest.raises(AttributeError):
        _ = quantd.none_of_this_name
