"""A job's process, started as the worker starts it, with hostile uploads and a secret file that it must not read."""

from dataclasses import dataclass

import pytest

from jobs.errors import WorkerFailure
from tests.e2e.attacks.models import SECRET
from tests.worker import scripted
from worker.__main__ import QUANT
from worker.child import Child
from worker.children import Children
from worker.forkserver import ForkServer
from worker.process import Limits
from worker.protocol import Done, Refused

LIMITS = Limits(memory=2 << 30, timeout_s=30, threads=2, disk=64 << 20)
SPEC = {"preset": "int8-weights"}


@dataclass(frozen=True)
class End:
    """The outcome of a job: its problem's code (None if it succeeded) and detail, and all bytes that it wrote."""

    code: str | None
    detail: str
    written: bytes


@pytest.fixture
def secret(tmp_path):
    """A file that no upload may read or change."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    yield path
    assert path.read_bytes() == SECRET
    assert [entry.name for entry in tmp_path.iterdir() if entry != path] == []


@pytest.fixture(scope="package")
def children():
    server = ForkServer(QUANT, LIMITS.threads)
    children = Children(server, LIMITS)
    yield children
    children.close()
    server.close()


@pytest.fixture
def run_job(children, secret):
    """Run a job on these bytes and return its outcome."""

    def run(model: bytes, calibration: bytes | None = None, spec=None) -> End:
        with children.new() as child:
            given = {"model": model, **({"calibration": calibration} if calibration else {})}
            for role, data in given.items():
                (child.folder / role).write_bytes(data)
            told = {"name": "m", "spec": spec or SPEC, "out": "out", **{role: role for role in given}}
            child.begin(told)
            code, detail = _end(child)
            child.kill()
            files = [path for top in ("out", "tmp") for path in (child.space / top).rglob("*") if path.is_file()]
            written = b"".join(path.read_bytes() for path in files) + child.stderr() + detail.encode()
        assert SECRET not in written
        return End(code, detail, written)

    return run


@pytest.fixture
def run_code(children, secret, monkeypatch):
    """Run code in a job's sandbox, past all checks of uploads, and return its output."""
    server = scripted.server(monkeypatch)

    def run(code: str, **files: bytes) -> str:
        limits, folder = children._next()
        with Child(server, folder, limits) as child:
            for name, data in files.items():
                (child.folder / name).write_bytes(data)
            child.begin({"code": f"import sys; sys.stdout = sys.stderr; open('tmp/begun', 'w').close()\n{code}"})
            list(child)
            assert (child.space / "tmp" / "begun").exists(), child.stderr()
            return child.stderr().decode()

    yield run
    server.close()


def _end(child: Child) -> tuple[str | None, str]:
    try:
        for line in child:
            if isinstance(line, Refused):
                return line.code, line.detail
            if isinstance(line, Done):
                return None, ""
        failure: WorkerFailure = child.failure()
    except WorkerFailure as error:
        failure = error
    return failure.code, failure.detail
