"""The time and the memory of every preset on every model, in float runs of the calibration set.

    python benchmarks/time_bounds.py [--data ../shared/data] [--only NAME ...] [--presets int8 ...] [--runs 1] [--page]

Writes docs/time_bounds.md from docs/time_bounds.json. What was measured before and is not selected stays there; --page
writes the page without measuring.

A job may take `FLOAT_RUNS` runs of the float model over its calibration set and `SECONDS` more, `auto` twice as many
runs. The unit is the median of three such runs in the process of the job, in the batches that the job uses. On a shared
machine elapsed times are those of the load: `processor` has the same figures in processor seconds. A job may take
`MEMORY_RATIO` times the float model and `MEMORY_MB` more, above the process with its imports.

The models are those of `models/` with up to 256 images, those of `modern/` with their calibration sets, and an encoder
of the size of Whisper's smallest (6 layers, 384 wide, 1500 frames, random weights) with 8 samples. Evaluation data are
not given: a job runs both models on them once.
"""

import argparse
import gc
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from networks import IMAGES
from numpy.typing import NDArray
from PIL import Image

FLOAT_RUNS, AUTO_FLOAT_RUNS, SECONDS = 10, 20, 2.0
MEMORY_RATIO, MEMORY_MB = 2, 500
SPECS: dict[str, dict[str, Any]] = {
    **{name: {"preset": name} for name in ("int8", "int8-weights", "int4", "int4-weights", "codebook4", "ternary")},
    "minmax": {"weights": {"clipping": "minmax"}, "bias_correction": "none"},
    "auto": {"activations": {"clipping": "auto"}, "equalization": "auto", "smoothing": "auto"},
}
COUNT = 256
WAITING = {"OPENBLAS_THREAD_TIMEOUT": "20"}
"""The setting of OpenBLAS that quant makes when it is imported before NumPy; else idle threads take processor time."""
MEASURED = ("job", "unit", "processor_job", "processor_unit", "peak_mb", "model_mb", "samples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "time_bounds.json")
    parser.add_argument("--page", action="store_true", help="write the page without measuring")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--presets", nargs="*", default=list(SPECS))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "CALIBRATION", "PRESET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        model, calibration, preset = arguments.one
        print(json.dumps(measure(Path(model), Path(calibration), preset)))
        return
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        selected = () if arguments.page else jobs(arguments.data, Path(folder), arguments.only)
        for model, calibration in selected:
            for preset in arguments.presets:
                entry = repeated(model, calibration, preset, arguments.runs)
                results.setdefault(model.stem, {})[preset] = entry
                print(line(model.stem, preset, entry), flush=True)
                arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(page(results))


def jobs(data: Path, folder: Path, only: list[str]) -> Iterator[tuple[Path, Path]]:
    """Yield the model and the calibration file of each job."""
    for path in (*sorted((data / "models").glob("*.onnx")), *sorted((data / "modern").glob("*.onnx"))):
        if only and path.stem not in only:
            continue
        calibration = path.with_name(f"{path.stem}_calibration.npz")
        if not calibration.exists():
            calibration = folder / f"{path.stem}.npz"
            np.savez(calibration, **images(path.stem, data / "datasets"))
        yield path, calibration
    if not only or "encoder" in only:
        yield encoder(folder)


def images(stem: str, datasets: Path) -> dict[str, NDArray[Any]]:
    """Return the images of a model with the mean and the std of its input."""
    known = next((value for part, value in IMAGES.items() if part in stem), None)
    if known is not None:
        with np.load(datasets / f"{known[0]}.npz") as stored:
            return {"images": stored["images"][:COUNT], "mean": np.array(known[1]), "std": np.array(known[2])}
    with zipfile.ZipFile(datasets / "imagenet_sample1000.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg")))
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names[:COUNT]]
    return {"images": np.stack(pictures), "mean": np.array([0.5]), "std": np.array([0.5])}


def encoder(folder: Path) -> tuple[Path, Path]:
    """Write an encoder with the shapes of Whisper's smallest, and 8 samples of 30 seconds; return both paths."""
    import torch
    from torch import nn

    from quant.graph.load.source import open_model

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(384) for _ in range(2))
            self.projections = nn.ModuleList(nn.Linear(384, 384) for _ in range(4))
            self.rise, self.fall = nn.Linear(384, 1536), nn.Linear(1536, 384)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norms[0](x)
            q, k, v = (project(y).view(-1, 1500, 6, 64).transpose(1, 2) for project in self.projections[:3])
            mixed = torch.softmax(q @ k.transpose(2, 3) / 8, 3) @ v
            x = x + self.projections[3](mixed.transpose(1, 2).reshape(-1, 1500, 384))
            return x + self.fall(nn.functional.gelu(self.rise(self.norms[1](x))))

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv1d(80, 384, 3, padding=1), nn.Conv1d(384, 384, 3, stride=2, padding=1)
            self.blocks = nn.Sequential(*(Block() for _ in range(6)), nn.LayerNorm(384))

        def forward(self, mel: torch.Tensor) -> torch.Tensor:
            x = nn.functional.gelu(self.second(nn.functional.gelu(self.first(mel)))).transpose(1, 2)
            return self.blocks(x)

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    mel = rng.normal(size=(8, 80, 3000)).astype(np.float32)
    traced = torch.jit.trace(Encoder().eval(), torch.from_numpy(mel[:2]), check_trace=False)
    module, path = folder / "encoder.pt", folder / "encoder.onnx"
    traced.save(str(module))
    path.write_bytes(open_model(module, folder, (), 1 << 31).reference.read_bytes())
    np.savez(folder / "encoder.npz", mel=mel)
    return path, folder / "encoder.npz"


def repeated(model: Path, calibration: Path, preset: str, runs: int) -> dict[str, Any]:
    """Return the medians of several runs, each in a new process, and True where they are within the bounds."""
    command = [sys.executable, __file__, "--one", str(model), str(calibration), preset]
    measured = []
    for _ in range(runs):
        environment = {**os.environ, **WAITING}
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if process.returncode:
            return {"failed": (process.stderr.strip().splitlines() or ["no output"])[-1][:300]}
        measured.append(json.loads(process.stdout.splitlines()[-1]))
    entry: dict[str, Any] = {key: statistics.median(run[key] for run in measured) for key in MEASURED}
    limit = AUTO_FLOAT_RUNS if preset == "auto" else FLOAT_RUNS
    entry["in_time"] = entry["job"] <= limit * entry["unit"] + SECONDS
    entry["in_processor_time"] = entry["processor_job"] <= limit * entry["processor_unit"] + SECONDS
    entry["in_memory"] = entry["peak_mb"] <= MEMORY_RATIO * entry["model_mb"] + MEMORY_MB
    entry["stages"] = measured[-1]["stages"]
    return entry


def measure(model: Path, calibration: Path, preset: str) -> dict[str, Any]:
    """Run one job in this process."""
    import onnx_ir as ir

    from quant.calibration.data_checks import check_data
    from quant.data.read import read_dataset
    from quant.job_process import load
    from quant.outcome.stages import Stage
    from quant.pipeline import Inputs, quantize_model
    from quant.runtime import Session

    load()  # as in the process from which jobs are forked
    gc.freeze()
    session = Session(model)
    data = check_data(session, read_dataset(calibration, ir.load(model)), None).calibration
    assert data is not None, "the calibration file is given"
    units = []
    for _ in range(3):
        begun = time.perf_counter(), time.process_time()
        for feeds in data.batches():
            session.run(feeds)
        units.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    samples = data.used
    del session, data, feeds
    stages: dict[str, float] = {}
    last = ["", time.process_time()]

    def progress(stage: Stage, _completed: int, _total: int, _message: str) -> None:
        now = time.process_time()
        stages[last[0]] = round(stages.get(last[0], 0.0) + now - last[1], 3)
        last[:] = [stage.value, now]

    Path("/proc/self/clear_refs").write_text("5")
    start = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter(), time.process_time()
        quantize_model(Inputs(model, model.name, SPECS[preset], calibration), Path(folder), progress)
        job, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
    progress(Stage.STORING, 1, 1, "")
    return {
        "job": job, "unit": statistics.median(unit[0] for unit in units),
        "processor_job": processor, "processor_unit": statistics.median(unit[1] for unit in units),
        "peak_mb": peak_mb() - start, "model_mb": model.stat().st_size / 2**20, "samples": samples, "stages": stages,
    }  # fmt: skip


def peak_mb() -> float:
    """Return the peak memory of this process since the reset, in megabytes."""
    lines = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def line(stem: str, preset: str, entry: dict[str, Any]) -> str:
    """Return a row of the table."""
    if "failed" in entry:
        return f"{stem:26} {preset:13} failed: {entry['failed']}"
    runs, processor = entry["job"] / entry["unit"], entry["processor_job"] / entry["processor_unit"]
    broken = [key.removeprefix("in_") for key in ("in_time", "in_processor_time", "in_memory") if not entry[key]]
    verdict = f"  OVER: {', '.join(broken)}" if broken else ""
    return (
        f"{stem:26} {preset:13} {entry['job']:7.2f} s = {runs:6.1f} runs, processor {entry['processor_job']:7.2f} s = "
        f"{processor:6.1f} runs of {entry['processor_unit']:.3f} s, {entry['peak_mb']:5.0f} MB{verdict}"
    )


PAGE = """# Time and memory of jobs

Written by `benchmarks/time_bounds.py`, which keeps the figures in `docs/time_bounds.json`. A job may take 10 runs of
the float model over its calibration set and 2 seconds more (`auto`: 20 runs), and twice the memory of the float model
and 500 MB more. Times are processor time, since other work runs on the machine; waiting threads sleep in the runs of
the unit as in the job. Latency is measured in each job, which takes a second. Figures over a bound are in bold.
Networks and presets without a row were not measured.

| network | samples | preset | processor seconds | bound | float runs | MB | bound |
| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |
"""


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return the page of all measured jobs."""
    return PAGE + "".join(
        row(stem, preset, entry) for stem, presets in results.items() for preset, entry in presets.items()
    )


def row(stem: str, preset: str, entry: dict[str, Any]) -> str:
    """Return the row of a job; figures beyond a bound are in bold."""
    if "failed" in entry:
        return f"| {stem} | | `{preset}` | failed | | | | |\n"
    limit = (AUTO_FLOAT_RUNS if preset == "auto" else FLOAT_RUNS) * entry["processor_unit"] + SECONDS
    runs = entry["processor_job"] / entry["processor_unit"]
    seconds, memory = f"{entry['processor_job']:.1f}", f"{entry['peak_mb']:.0f}"
    seconds = seconds if entry["in_processor_time"] else f"**{seconds}**"
    memory = memory if entry["in_memory"] else f"**{memory}**"
    most = MEMORY_RATIO * entry["model_mb"] + MEMORY_MB
    return (
        f"| {stem} | {entry['samples']:.0f} | `{preset}` | {seconds} | {limit:.1f} | {runs:.1f} "
        f"| {memory} | {most:.0f} |\n"
    )


if __name__ == "__main__":
    main()
