"""The system calls of jobs, beside those that a job may make (`worker/system_calls.py`).

    python -m benchmarks.system_calls

Jobs of all kinds run as the worker runs them, under strace, which must be installed. The output is the number of jobs
that made each call after they entered their sandbox, the calls that were refused, and the calls on the list that no job
made. A library that needs a new call shows it here, and in the log of a worker.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worker.system_calls import ALLOWED, COMMANDS

EXAMPLES = Path(__file__).parent.parent / "examples"
_CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)(.*)")
_STARTED = re.compile(r"= (?:\d+ /\* )?(\d+)(?: in strace's PID NS \*/)?$")


@dataclass(frozen=True)
class Case:
    """A job: its files by role, its spec, its task if it is a plan, and its limit of memory in bytes."""

    files: dict[str, bytes]
    spec: dict[str, Any]
    task: dict[str, str] = field(default_factory=dict)
    memory: int = 2 << 30


def cases() -> Iterator[Case]:
    """Yield jobs of all kinds."""
    digits = {
        "model": (EXAMPLES / "digits.onnx").read_bytes(),
        "calibration": (EXAMPLES / "digits_calibration.npz").read_bytes(),
        "evaluation": (EXAMPLES / "digits_evaluation.npz").read_bytes(),
    }
    yield Case({"model": digits["model"]}, {"preset": "int8-weights"}, {"task": "plan"})
    for preset in ("int8", "int4", "codebook4", "ternary", "fp16"):
        yield Case(digits, {"preset": preset})
    smallest = {"preset": "int8", "objective": "smallest_within_gates", "gates": {"max_top1_drop_points": 5.0}}
    yield Case(digits, smallest)
    for calibration in (_hdf5(), _images()):
        yield Case({"model": digits["model"], "calibration": calibration}, {"preset": "int8"})
    yield Case({"model": _archive()}, {"preset": "int4-weights"}, memory=350 << 20)
    inputs = [{"name": "x", "shape": ["N", 3, 8, 8], "dtype": "float32"}]
    images = io.BytesIO()
    np.savez(images, x=np.random.default_rng(0).standard_normal((8, 3, 8, 8), np.float32))
    torchscript = {"preset": "int8", "torchscript": {"inputs": inputs}}
    yield Case({"model": _torchscript(), "calibration": images.getvalue()}, torchscript)


def _archive() -> bytes:
    """Return a zip of a model with its weight as external data, which is large for a job of 350 MiB."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((1 << 15, 256), np.float32)
    tensor = numpy_helper.from_array(weight, "w")
    onnx.external_data_helper.set_external_data(tensor, "w.bin", 0, weight.nbytes)
    tensor.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1 << 15])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 256])], [tensor],
    )  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        archive.writestr("m.onnx", model.SerializeToString())
        archive.writestr("w.bin", weight.tobytes())
    return buffer.getvalue()


def _hdf5() -> bytes:
    """Return the calibration data of the example as compressed HDF5."""
    import h5py

    buffer = io.BytesIO()
    with np.load(EXAMPLES / "digits_calibration.npz") as arrays, h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")
    return buffer.getvalue()


def _images() -> bytes:
    """Return a zip of images in every format, in the size of the example's input."""
    from PIL import Image

    pixels, buffer = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, image in enumerate(pixels):
            kind = ("JPEG", "PNG", "BMP", "WEBP")[number % 4]
            content = io.BytesIO()
            Image.fromarray(image).save(content, kind)
            archive.writestr(f"{number:02}.{kind.lower().replace('jpeg', 'jpg')}", content.getvalue())
    return buffer.getvalue()


def _torchscript() -> bytes:
    import torch

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 5))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(module.eval(), torch.ones(2, 3, 8, 8)), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def run_jobs() -> None:
    """Run all jobs in the sandbox of a worker and print the end of each."""
    from worker.__main__ import QUANT
    from worker.children import Children
    from worker.forkserver import ForkServer
    from worker.process import Limits
    from worker.protocol import Logged

    server = ForkServer(QUANT, threads=2)
    for case in cases():
        children = Children(server, Limits(case.memory, 300, threads=2, disk=1 << 30))
        with children.new() as child:
            for role, data in case.files.items():
                (child.folder / role).write_bytes(data)
            child.begin(
                {"name": "m", "spec": case.spec, "out": "out", **case.task, **{role: role for role in case.files}}
            )
            lines = [line for line in child if line is not None]
            messages = [line.message for line in lines if isinstance(line, Logged) and "sandbox" in line.message]
            end = lines[-1] if lines else child.failure()
            print(json.dumps({**case.spec, **case.task, "end": str(end)[:200], "refused": messages}), file=sys.stderr)
        children.close()
    server.close()


def calls_of_jobs(trace: Path) -> list[Counter[str]]:
    """Return the calls of each job in a trace of all processes, from the end of its sandbox's start."""
    job_of: dict[str, str] = {}
    calls: dict[str, Counter[str]] = defaultdict(Counter)
    for line in trace.open(errors="replace"):
        if (match := _CALL.match(line)) is None:
            continue
        task, name, rest = match.groups()
        if name == "seccomp" and "NEW_LISTENER, {len=" in rest:
            job_of[task] = task
        elif task in job_of and " resumed>" not in line[:60]:
            calls[job_of[task]][name] += 1
        if name == "clone" and task in job_of and (started := _STARTED.search(rest)):
            job_of[started.group(1)] = job_of[task]
    return list(calls.values())


def main() -> None:
    """Trace the jobs and print their calls as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", action="store_true", help="run the jobs only")
    if parser.parse_args().jobs:
        run_jobs()
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace")
        command = [sys.executable, "-m", "benchmarks.system_calls", "--jobs"]
        subprocess.run(["strace", "-f", "-qq", "--decode-pids=pidns", "-o", trace, *command], check=True)
        jobs = calls_of_jobs(trace)
    made = Counter(name for calls in jobs for name in calls)
    listed = {*ALLOWED, *COMMANDS, "clone"}
    print(json.dumps({
        "jobs": len(jobs), "calls": dict(made.most_common()), "refused": sorted(set(made) - listed),
        "listed_and_not_made": sorted(listed - set(made)),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
