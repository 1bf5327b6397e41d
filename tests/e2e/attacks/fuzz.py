"""Hundreds of damaged copies of valid files, given to the quantizer: each must end in a clean problem.

The long form is `benchmarks/fuzz.py`. Many files share one process in the sandbox; one that dies is counted as what a
job would end with, and the next file has a new process.
"""

import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.e2e.attacks import models
from worker.process import Limits, sandboxed
from worker.workspaces import WRITABLE

LIMITS = Limits(memory=4 << 30, timeout_s=600, threads=1, disk=256 << 20)
TIMEOUT_S = 20.0
"""The time limit for one file."""
LOOP = """
import json, shutil, sys, traceback
from pathlib import Path
from quant.errors import QuantdError
from quant.pipeline import Inputs, quantize_model
for number, line in enumerate(map(json.loads, sys.stdin)):
    out = Path("out", str(number))
    out.mkdir()
    data = line["calibration"] and Path(line["calibration"])
    try:
        quantize_model(Inputs(Path(line["model"]), "m", line["spec"], data), out, lambda *_: None)
        told = {"code": "succeeded"}
    except QuantdError as error:
        told = {"code": error.code, "clean": bool(error.detail) and "Traceback" not in error.detail}
    except MemoryError:  # as the worker tells it of a process that ends with it
        told = {"code": "worker.out_of_memory"}
    except Exception as error:
        told = {"code": "worker.crashed", "clean": False, "detail": traceback.format_exc()}
    shutil.rmtree(out)
    for path in Path("tmp").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(json.dumps(told), flush=True)
"""


@dataclass(frozen=True)
class Kind:
    """A valid file of one kind, and the job that reads it."""

    good: bytes
    job: Callable[[bytes], dict]


def kinds(torchscript: bytes) -> dict[str, Kind]:
    """Return a small valid file of each accepted kind; `torchscript` has traced inputs."""
    model, data_free = models.perceptron(), {"preset": "int8-weights"}
    calibration = models.npz(x=np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32))

    def as_model(data: bytes) -> dict:
        return {"model": data, "calibration": None, "spec": data_free}

    return {
        "onnx": Kind(model, as_model),
        "zip": Kind(_zipped(), as_model),
        "npz": Kind(calibration, lambda data: {"model": model, "calibration": data, "spec": {"preset": "int8"}}),
        "torchscript": Kind(torchscript, as_model),
    }


def _zipped() -> bytes:
    weights = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32).tobytes()
    model = models.external("w.bin", offset=0, length=len(weights))
    return models.zipped(compression=zipfile.ZIP_DEFLATED, **{"m.onnx": model, "w.bin": weights})


def mutants(good: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield copies with a few faults each; in zips half of them are inside of a member with a valid checksum."""
    chance = random.Random(seed)
    for _ in range(count):
        inside = good.startswith(b"PK") and chance.random() < 0.5
        yield _inside(good, chance) if inside else _mutated(good, chance)


def _inside(good: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = chance.choice(list(members))
    members[chosen] = _mutated(members[chosen], chance)
    return models.zipped(**members)


def _mutated(good: bytes, chance: random.Random) -> bytes:
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        start = chance.randrange(len(data))
        size = min(chance.choice((1, 2, 4, 8, 32, 128)), len(data) - start)
        match chance.randrange(7):
            case 0:
                data[start] ^= 1 << chance.randrange(8)
            case 1:
                data[start] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                data[start : start + size] = chance.choice((b"\xff", b"\x00", b"\x80", b"\x7f")) * size
            case 3:
                del data[start : start + size]
            case 4:
                data[start:start] = data[start : start + size]
            case 5:
                data[start:start] = chance.randbytes(size)
            case 6 if chance.random() < 0.3:
                del data[start:]
    return bytes(data)


def fuzz(kind: Kind, count: int, seed: int) -> tuple[Counter, list[str]]:
    """The number of mutants by their code, and the outcomes that were not clean."""
    ends, unclean = Counter(), []
    waiting = list(mutants(kind.good, count, seed))
    while waiting:
        with tempfile.TemporaryDirectory() as folder:
            told = _run(Path(folder), kind, waiting)
        ends.update(answer["code"] for answer in told)
        unclean += [answer.get("detail", answer["code"]) for answer in told if not answer.get("clean", True)]
        waiting = waiting[len(told) :]
    return ends, unclean


def _run(folder: Path, kind: Kind, files: list[bytes]) -> list[dict]:
    """Yield the outcome of each file, up to one that kills the process; that one is not clean."""
    for name in WRITABLE:
        (folder / name).mkdir()
    jobs = [_store(folder, number, kind.job(data)) for number, data in enumerate(files)]
    (folder / "jobs").write_text("\n".join(map(json.dumps, jobs)))
    told = []
    command = sandboxed((sys.executable, "-P", "-c", LOOP), folder, LIMITS)
    environment = {"HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "stderr").open("w+b") as errors,
        (folder / "jobs").open() as given,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdin=given, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        watch = _watch(process)
        for line in process.stdout:
            if line.startswith(b'{"code"'):  # and not a library's own words
                watch.cancel()
                told.append(json.loads(line))
                watch = _watch(process)
        watch.cancel()
        process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if len(told) < len(files):
        told.append({"code": _ending(process.returncode), "detail": said[-2000:], "clean": "Traceback" not in said})
    return told


def _store(folder: Path, number: int, job: dict) -> dict:
    for role in ("model", "calibration"):
        if job[role] is not None:
            (folder / f"{role}{number}").write_bytes(job[role])
            job[role] = f"{role}{number}"
    return job


def _watch(process: subprocess.Popen) -> threading.Timer:
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    return timer


def _ending(status: int) -> str:
    return "worker.timeout" if status == -signal.SIGKILL else f"worker.crashed ({status})"
