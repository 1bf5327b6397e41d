"""Peak memory and speed of a job on a model of 3 GB with external data.

    python -m benchmarks.large [--gigabytes 3] [--runs 3] [--cold] [--folder DIR] [--json FILE]

Peak memory is compared with the largest layer, speed with copying the files by shutil.copyfile. The model has the
layers of a language model's blocks, with random weights. Each job runs in a new process that has loaded its libraries.
`peak` is the most resident memory above that, mapped pages of the model included; `anonymous` is without them, sampled
every 5 ms. Jobs and copies alternate, and both end with fsync. The files are in the page cache before each, or, with
--cold, dropped from it.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

MODEL, WEIGHTS = "float.onnx", "weights.bin"
BLOCKS = 4
PRESETS, CLIPPINGS = ("int8-weights", "int4-weights"), ("minmax", "auto")
TIMES, MORE_MB = 3, 300
"""The limit on peak memory: this many times the largest layer, plus this many megabytes."""
SPEED = 0.7
"""The least speed, as a fraction of the speed of a copy."""
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    parser.add_argument("--clippings", nargs="*", default=CLIPPINGS)
    parser.add_argument("--cold", action="store_true", help="drop the files from the page cache before each run")
    parser.add_argument("--folder", type=Path, help="the folder for temporary files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("PRESET", "CLIPPING", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(job(arguments.one[0], arguments.one[1], Path(arguments.one[2]))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        layer_mb = make(Path(folder), arguments.gigabytes) / 1e6
        size_mb = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        specs = [(preset, clipping) for preset in arguments.presets for clipping in arguments.clippings]
        jobs = {" ".join(spec): compared(Path(folder), *spec, arguments.runs, arguments.cold) for spec in specs}
    table = {"model_mb": size_mb, "largest_layer_mb": layer_mb, "cold": arguments.cold, "jobs": jobs}
    show(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


def make(folder: Path, gigabytes: float) -> int:
    """Write a model of four blocks and its weights to the folder; return the bytes of its largest layer."""
    width = round((gigabytes * 1e9 / 4 / BLOCKS / 12.0625) ** 0.5 / 64) * 64
    inner = round(width * 2.6875 / 64) * 64
    rng, nodes, tensors, x, largest = np.random.default_rng(0), [], [], "x", 0
    with (folder / WEIGHTS).open("wb") as file:

        def layer(source: str, name: str, inputs: int, outputs: int, gemm: bool = False) -> str:
            nonlocal largest
            shape = (outputs, inputs) if gemm else (inputs, outputs)
            weight = rng.standard_normal(shape, np.float32) / np.float32(inputs**0.5)
            tensor = TensorProto(name=f"{name}.weight", dims=shape, data_type=TensorProto.FLOAT)
            tensor.data_location = TensorProto.EXTERNAL
            where = {"location": WEIGHTS, "offset": file.tell(), "length": weight.nbytes}
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
            file.write(weight.data)
            tensors.append(tensor)
            largest = max(largest, weight.nbytes)
            operator = helper.make_node("Gemm" if gemm else "MatMul", [source, tensor.name], [name], name=name)
            operator.attribute.extend([helper.make_attribute("transB", 1)] if gemm else [])
            nodes.append(operator)
            return name

        def join(operator: str, left: str, right: str, name: str) -> str:
            nodes.append(helper.make_node(operator, [left, right], [name]))
            return name

        for block in range(BLOCKS):
            query, key, value = (layer(x, f"{block}.{name}", width, width) for name in "qkv")
            mixed = join("Mul", join("Add", query, key, f"{block}.mixed"), value, f"{block}.attended")
            x = join("Add", x, layer(mixed, f"{block}.o", width, width, gemm=True), f"{block}.residual")
            gate, up = (layer(x, f"{block}.{name}", width, inner) for name in ("gate", "up"))
            down = layer(join("Mul", gate, up, f"{block}.gated"), f"{block}.down", inner, width)
            x = join("Add", x, down, f"{block}.end")
    graph = helper.make_graph(
        nodes, "blocks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", width])],
        tensors,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), folder / MODEL)
    return largest


def compared(folder: Path, preset: str, clipping: str, runs: int, cold: bool) -> Figures:
    """Return the medians over runs, each of a copy and then a job."""
    copies, jobs = [], []
    command = [sys.executable, "-m", "benchmarks.large", "--one", preset, clipping, str(folder)]
    for _ in range(runs):
        (drop if cold else read)(folder)
        copies.append(copied(folder))
        (drop if cold else read)(folder)
        process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        jobs.append(json.loads(process.stdout.splitlines()[-1]))
    medians = {key: statistics.median(job[key] for job in jobs) for key in jobs[0]}
    copy_s = statistics.median(copies)
    speeds = [copy / job["seconds"] for copy, job in zip(copies, jobs, strict=True)]
    return {"copy_s": copy_s, **medians, "speed": statistics.median(speeds)}


def copied(folder: Path) -> float:
    """Copy the model's files; return the seconds."""
    target = folder / "copy"
    target.mkdir()
    begun = time.perf_counter()
    for name in (MODEL, WEIGHTS):
        shutil.copyfile(folder / name, target / name)
        sync(target / name)
    seconds = time.perf_counter() - begun
    shutil.rmtree(target)
    return seconds


def job(preset: str, clipping: str, folder: Path) -> Figures:
    """Run one job in this process; return its seconds and its peak memory above the start, in megabytes."""
    from quant.job_process import load
    from quant.pipeline import Inputs, quantize_model

    load()
    out = folder / "out"
    out.mkdir()
    spec = {"preset": preset, "weights": {"clipping": clipping}}

    def run() -> None:
        quantize_model(Inputs(folder / MODEL, MODEL, spec), out, lambda *_: None)
        for path in out.iterdir():
            sync(path)

    try:
        figures = watched(run)
        figures["made_mb"] = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    finally:
        shutil.rmtree(out)
    return figures


def watched(run: Callable[[], object]) -> Figures:
    """Return the seconds of `run` and the peak memory of this process meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the recorded peak
    start, anonymous, ended = memory_mb(), [0.0], threading.Event()

    def sample() -> None:
        while not ended.wait(0.005):
            anonymous.append(memory_mb()["RssAnon"])

    sampler = threading.Thread(target=sample)
    sampler.start()
    begun = time.perf_counter()
    run()
    seconds = time.perf_counter() - begun
    ended.set()
    sampler.join()
    peak = memory_mb()["VmHWM"] - start["VmRSS"]
    return {"seconds": seconds, "peak_mb": peak, "anonymous_mb": max(anonymous) - start["RssAnon"]}


def memory_mb() -> Figures:
    status = Path("/proc/self/status").read_text()
    found = re.findall(r"^(VmHWM|VmRSS|RssAnon):\s+(\d+) kB$", status, re.M)
    return {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in found}


def sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read(folder: Path) -> None:
    """Read the model's files into the page cache."""
    with (folder / WEIGHTS).open("rb") as file:
        while file.read(1 << 24):
            pass


def drop(folder: Path) -> None:
    """Drop the model's files from the page cache."""
    for name in (MODEL, WEIGHTS):
        sync(folder / name)
        with (folder / name).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def show(table: dict[str, Any]) -> None:
    most = TIMES * table["largest_layer_mb"] + MORE_MB
    print(f"{table['model_mb']:.0f} MB, largest layer {table['largest_layer_mb']:.0f} MB; "
          f"limits: a peak of at most {most:.0f} MB, {SPEED} of a copy's speed")  # fmt: skip
    print(f"{'job':22} {'seconds':>8} {'copy':>6} {'speed':>6} {'peak MB':>8} {'anonymous':>10} {'made MB':>8}")
    for name, job in table["jobs"].items():
        print(f"{name:22} {job['seconds']:8.2f} {job['copy_s']:6.2f} {job['speed']:6.2f} {job['peak_mb']:8.0f} "
              f"{job['anonymous_mb']:10.0f} {job['made_mb']:8.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
