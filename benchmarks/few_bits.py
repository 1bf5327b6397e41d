"""The accuracy of real networks at a few sizes, each with the formats that a budget chooses; writes docs/few_bits.md.

    python -m benchmarks.few_bits [--models resnet20_cifar10,...] [--sizes 0.16,smallest,...] [--images 10000] [--page]

Models, calibration and evaluation images are those of `benchmarks/accuracy.py`; no choice sees an evaluation image.
Each job runs in a process of its own with one thread. docs/few_bits.json keeps the results, so that parts of the table
can be measured again; --page writes the page without measuring.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import few_bits_peers
from benchmarks.child import ROOT
from benchmarks.networks import DATA, LABELLED, split
from quant.data.read import read_dataset
from quant.evaluation.latency import latency_ratio
from quant.graph.load.onnx_file import load
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators

CIFAR_NETS, IMAGENET, VWW = LABELLED[:4], "mobilenetv1_075_imagenet", "vww_mobilenetv1_025"
SECONDS = {IMAGENET: 25.0}
FLOAT_RUNS, OTHER_SECONDS = 10, 2.0
"""A job of `small` may take this many runs of the float model over the calibration set, and these seconds."""
MAX_LATENCY = 1.1
"""The greatest latency of a file as a fraction of that of the file with 8-bit weights."""
QUICK = {"report": "weights", "measure": {"latency": False}}
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """A size of the file and its targets.

    Attributes:
        title: the heading of its table.
        spec: the spec.
        may_lose: the greatest loss of top-1 accuracy in points, by model.
        least: the least top-1 accuracy in percent, by model.
    """

    title: str
    spec: dict[str, Any]
    may_lose: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)


def ratio(value: float) -> dict[str, Any]:
    return {"preset": "small", "budget": {"max_size_ratio": value}}


RECONSTRUCT = {"weights": {"rounding": "reconstruct"}}
SIZES = {
    "small": Size("the size of 4-bit weights", {"preset": "small"}),
    "0.16": Size("0.16 of the float file", ratio(0.16), dict.fromkeys(CIFAR_NETS, 0.3), {IMAGENET: 84.5, VWW: 86.9}),
    "0.13": Size("0.13 of the float file", ratio(0.13), dict.fromkeys(CIFAR_NETS, 1.0), {IMAGENET: 82.0, VWW: 86.0}),
    "smaller": Size("the size of 3-bit weights", {"preset": "smaller"}),
    "0.10": Size("0.10 of the float file", ratio(0.10), dict.fromkeys(CIFAR_NETS, 3.0), {IMAGENET: 77.0}),
    "smallest": Size(
        "1.15 times the size of 2-bit weights",
        {"preset": "smallest"},
        least={IMAGENET: 60.0, VWW: 84.5, "resnet20_cifar10": 79.0, "resnet8_mlperftiny": 69.0},
    ),
    "0.16r": Size("0.16 of the float file, reconstructed", ratio(0.16) | RECONSTRUCT, least={VWW: 86.9}),
    "0.10r": Size("0.10 of the float file, reconstructed", ratio(0.10) | RECONSTRUCT, least={IMAGENET: 77.0}),
    "int4": Size("uniform weights of 4 bits", {"preset": "int4", "weights": {"rounding": "error_feedback"}}),
    "int4r": Size("uniform weights of 4 bits, reconstructed", {"preset": "int4"} | RECONSTRUCT, least={IMAGENET: 82.0}),
}
INTRODUCTION = f"""# Few bits

The accuracy of real networks at a given size of the file, on images that the quantizer never saw. A budget chooses the
bits and the grid of each layer ([Allocation of bits](methods.md#allocation-of-bits)). Written by
`benchmarks/few_bits.py`, which keeps the figures in `docs/few_bits.json`.

CIFAR and MNIST networks are calibrated on 256 training images, VWW and ImageNet networks on 200 of their images. All
are evaluated on other images, whose number is in the tables. The columns `float` and `quantd` are the top-1 accuracies
in percent. The difference is in percentage points, with its 95 % interval. SQNR is that of the outputs in dB, and the
size a fraction of the float file's size. The latency is a fraction of that of the file of preset `int8`, in processor
time of one thread; at most {MAX_LATENCY:g} counts as equal. `float kernels` counts the layers of the file with integer
codes that ONNX Runtime does not compute with integers. `runs` is the processor time of the job in runs of the float
model over the calibration set. The last column has the targets and says if they were reached.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(LABELLED))
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--page", action="store_true", help="write the page without measuring")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "few_bits.md")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "SIZE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, size, folder = arguments.one
        print(json.dumps(measure(name, size, Path(folder))))
        return
    results = arguments.out.with_suffix(".json")
    rows: dict[tuple[str, str], Row] = {}
    if results.exists():
        rows = {(row["model"], row["size"]): row for row in json.loads(results.read_text())}
    for name in () if arguments.page else arguments.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for role, arrays in zip(("calibration", "evaluation"), split(name, None, arguments.images), strict=True):
                np.savez(Path(folder, f"{role}.npz"), **arrays)
            for size in arguments.sizes.split(","):
                rows[name, size] = row = in_a_process(name, size, folder)
                print(line(row), flush=True)
                lines = ",\n".join(json.dumps(each) for each in ordered(rows))
                results.write_text(f"[\n{lines}\n]\n")
    arguments.out.write_text(page(ordered(rows)))


def ordered(rows: dict[tuple[str, str], Row]) -> list[Row]:
    return [rows[name, size] for size in SIZES for name in LABELLED if (name, size) in rows]


def in_a_process(name: str, size: str, folder: str) -> Row:
    command = [sys.executable, "-m", "benchmarks.few_bits", "--one", name, size, folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    row: Row = json.loads(process.stdout.splitlines()[-1])
    return row


def measure(name: str, size: str, folder: Path) -> Row:
    """Quantize one model for one size in this process, and evaluate it beside the file of preset int8."""
    from quant.job_process import load as load_all

    load_all()  # as in the process from which jobs are forked
    model = DATA / "models" / f"{name}.onnx"
    calibration = read_dataset(folder / "calibration.npz", load(model))
    unit = float_run(model, calibration)
    int8 = folder / "int8.onnx"
    if not int8.exists():
        quantize(model, {"preset": "int8", **QUICK}, folder, None)
        (folder / "model.onnx").rename(int8)
    begun = time.process_time()
    quantize(model, {**SIZES[size].spec, **QUICK}, folder, None)
    seconds = time.process_time() - begun
    file = (folder / "model.onnx").read_bytes()
    chosen = Counter(
        f"{layer['grid']} {layer['bits']}" for layer in json.loads((folder / "report.json").read_text())["layers"]
    )
    figures = judge(model, file, folder / "evaluation.npz")
    feeds = next(calibration.singly().batches())
    return {
        "model": name,
        "size": size,
        **figures,
        "size_ratio": len(file) / model.stat().st_size,
        "latency_ratio": latency_ratio(int8.read_bytes(), file, feeds),
        "dequantized": optimised_operators(file)["DequantizeLinear(weight)"],
        "seconds": seconds,
        "float_runs": seconds / unit,
        "in_time": seconds <= FLOAT_RUNS * unit + SECONDS.get(name, OTHER_SECONDS),
        "formats": dict(sorted(chosen.items())),
    }


def float_run(model: Path, calibration: Any) -> float:
    """Return the processor time of a run of the float model over the calibration set: the median of three."""
    session, units = Session(model, threads=1), []
    for _ in range(3):
        begun = time.process_time()
        for feeds in calibration.batches():
            session.run(feeds)
        units.append(time.process_time() - begun)
    return float(np.median(units))


def quantize(model: Path, spec: dict[str, Any], folder: Path, evaluation: Path | None) -> None:
    """Quantize a model and write the artifacts to the folder."""
    quantize_model(Inputs(model, model.name, spec, folder / "calibration.npz", evaluation), folder, lambda *_: None)


def judge(model: Path, file: bytes, evaluation: Path) -> Row:
    """Return the figures of a file on evaluation images."""
    from quant.evaluation.compare import evaluate

    images, reference = read_dataset(evaluation, load(model)), Session(model)
    expected = (reference.run(feeds) for feeds in images.batches())
    comparison = evaluate(expected, Session(file), images, lambda *_: None)
    figures, difference = comparison.figures(), comparison.details(None)["top1_difference"]
    names = ("points", "low", "high", "samples")
    return {
        "top1_float": figures.top1_float,
        "top1_quantized": figures.top1_quantized,
        **{name: difference[name] for name in names},
        "sqnr_db": figures.output_sqnr_db,
    }


def verdict(row: Row) -> str:
    """Return the targets of a row, and by how much the one is missed that is missed most."""
    size, model = SIZES[row["size"]], row["model"]
    missed: dict[str, float] = {}
    if model in size.may_lose:
        missed[f"lose at most {size.may_lose[model]:g}"] = -row["points"] - size.may_lose[model]
    if model in size.least:
        missed[f"at least {size.least[model]:g}"] = size.least[model] - row["top1_quantized"]
    if not missed:
        return ""
    worst = max(missed.values())
    return ", ".join(missed) + (": reached" if worst <= 1e-9 else f": **missed by {worst:.2f}**")


def page(rows: list[Row]) -> str:
    """Return docs/few_bits.md: a table for each size, and those of other tools."""
    text = [INTRODUCTION]
    for name, size in SIZES.items():
        of_size = [row for row in rows if row["size"] == name]
        if not of_size:
            continue
        text += [f"## {name}: {size.title}", "", f"`{json.dumps(size.spec)}`", ""]
        text += [
            "| model | images | float | quantd | difference | SQNR | size | latency | float kernels | runs | target |",
            "| --- |" + " ---: |" * 9 + " --- |",
            *(table_line(row) for row in of_size),
            "",
        ]
    return "\n".join([*text, *few_bits_peers.section()])


def table_line(row: Row) -> str:
    return (f"| {row['model']} | {row['samples']} | {row['top1_float']:.2f} | {row['top1_quantized']:.2f} | "
            f"{row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] | {row['sqnr_db']:.1f} | "
            f"{row['size_ratio']:.3f} | {row['latency_ratio']:.2f} | {row['dequantized']} | {row['float_runs']:.0f} | "
            f"{verdict(row)} |")  # fmt: skip


def line(row: Row) -> str:
    """Return a row for the terminal."""
    formats = ", ".join(f"{count} {name}" for name, count in row["formats"].items())
    return (f"{row['model']:26} {row['size']:9} {row['top1_float']:6.2f} -> {row['top1_quantized']:6.2f} "
            f"{row['sqnr_db']:6.2f} dB  size {row['size_ratio']:.4f}  latency {row['latency_ratio']:.2f}  "
            f"{row['seconds']:.1f} s, {row['float_runs']:.1f} runs  {verdict(row)}  ({formats})")  # fmt: skip


if __name__ == "__main__":
    main()
