"""The time of a whole W8A8 job, beside float inference of its calibration set and other quantizers.

    python benchmarks/pipeline.py [--data ../shared/data] [--models resnet20 ...] [--runs 3] [--json FILE]

Each run has a new process; its seconds (the median of the runs) and its peak memory count after its imports. The
latency of a quantized model is the median of 60 single samples, all models in turn in one process. `floor` is float
inference of the calibration set by ONNX Runtime in batches of 8. NNCF runs if it is installed.
"""

import argparse
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Feeds = dict[str, NDArray[np.float32]]
TOOLS = (
    "floor",
    "quantd minmax",
    "quantd minmax, report on weights",
    "quantd",
    "quantd int4",
    "ort minmax",
    "ort percentile",
    "nncf",
)
WAITING = {"OPENBLAS_THREAD_TIMEOUT": "20"}
"""The setting of OpenBLAS that quant makes when it is imported before NumPy; here it applies to every tool."""
PEAK_RESET = Path("/proc/self/clear_refs")
SAMPLES = {"resnet20": 512, "mobilenetv1": 200, "resnet18": 200}
SPECS: dict[str, dict[str, object]] = {
    "quantd minmax": {"weights": {"clipping": "minmax"}, "bias_correction": "none"},
    "quantd minmax, report on weights": {
        "weights": {"clipping": "minmax"},
        "bias_correction": "none",
        "report": "weights",
    },
    "quantd": {},
    "quantd int4": {"preset": "int4"},
}

NOT_TIMED = {"measure": {"latency": False}}
"""The other quantizers do not measure the latency of their result."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--samples", type=int, help="calibration samples; by default 512 of 32 x 32 or 200 of 224 x 224"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(SAMPLES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("TOOL", "FOLDER", "MODEL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], Path(arguments.one[1]), arguments.one[2])))
        return
    tools = [tool for tool in TOOLS if tool != "nncf" or importlib.util.find_spec("nncf")]
    table: dict[str, dict[str, Any]] = {}
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            samples = arguments.samples or SAMPLES[model]
            prepare(model, arguments.data, Path(folder), samples)
            table[model] = {tool: repeated(tool, Path(folder), model, arguments.runs) for tool in tools}
            for tool, milliseconds in latencies(tools, Path(folder)).items():
                table[model][tool]["latency_ms"] = milliseconds
        show(model, table[model], samples)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


def prepare(model: str, data: Path, folder: Path, samples: int) -> None:
    """Write float.onnx and calibration.npz to the folder."""
    rng = np.random.default_rng(0)
    size = 32 if model == "resnet20" else 224
    if model == "resnet18":
        onnx.save(resnet18(rng), folder / "float.onnx")
    else:
        name = {"resnet20": "resnet20_cifar10", "mobilenetv1": "mobilenetv1_075_imagenet"}[model]
        (folder / "float.onnx").write_bytes((data / "models" / f"{name}.onnx").read_bytes())
    np.savez(folder / "calibration.npz", input=rng.normal(size=(samples, 3, size, size)).astype(np.float32))


def repeated(tool: str, folder: Path, model: str, runs: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", tool, str(folder), model]
    results = []
    for _ in range(runs):
        process = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **WAITING})
        if process.returncode:
            return {"failed": 1.0}  # some tools crash on some models
        results.append(json.loads(process.stdout.splitlines()[-1]))
    return {key: statistics.median(run[key] for run in results) for key in results[0]}


def measure(tool: str, folder: Path, model: str) -> dict[str, float]:
    """Run once in this process; return the seconds, and the peak memory above the start in megabytes."""
    source, target = folder / "float.onnx", written(tool, folder)
    run = prepared(tool, source, target, folder)
    PEAK_RESET.write_text("5")
    start = peak_mb()
    begun = time.perf_counter()
    run()
    seconds = time.perf_counter() - begun
    peak = peak_mb() - start
    return {"seconds": seconds, "peak_mb": peak}


def prepared(tool: str, source: Path, target: Path, folder: Path) -> Callable[[], object]:
    """Return the function to time, with everything imported."""
    calibration = folder / "calibration.npz"
    if tool == "floor":
        return lambda: floor(source, calibration)
    if tool in SPECS:
        from quant.job_process import load
        from quant.pipeline import Inputs, quantize_model

        load()  # as in the process from which jobs are forked
        gc.freeze()
        out = folder / "out"
        out.mkdir(exist_ok=True)

        def ours() -> None:
            spec = {**SPECS[tool], **NOT_TIMED}
            quantize_model(Inputs(source, source.name, spec, calibration), out, lambda *_: None)
            target.write_bytes((out / "model.onnx").read_bytes())

        return ours
    if tool.startswith("ort"):
        return ort_static(tool, source, target, calibration)
    return nncf_ptq(source, target, calibration)


def floor(source: Path, calibration: Path) -> None:
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    for feeds in batches(calibration):
        session.run(None, feeds)


def ort_static(tool: str, source: Path, target: Path, calibration: Path) -> Callable[[], object]:
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = batches(calibration)

        def get_next(self) -> Feeds | None:
            return next(self.left, None)

    method = q.CalibrationMethod.MinMax if tool == "ort minmax" else q.CalibrationMethod.Percentile

    def peer() -> None:
        ready = target.with_suffix(".pre.onnx")
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        q.quantize_static(ready, target, Reader(), per_channel=True, calibrate_method=method)

    return peer


def nncf_ptq(source: Path, target: Path, calibration: Path) -> Callable[[], object]:
    import nncf

    def peer() -> None:
        samples = [feeds["input"][i : i + 1] for feeds in batches(calibration) for i in range(len(feeds["input"]))]
        dataset = nncf.Dataset(samples, lambda sample: {"input": sample})
        onnx.save(nncf.quantize(onnx.load(source), dataset, subset_size=len(samples)), target)

    return peer


def batches(calibration: Path) -> Iterator[Feeds]:
    with np.load(calibration) as stored:
        images = stored["input"]
    for start in range(0, len(images), 8):
        yield {"input": images[start : start + 8]}


def latencies(tools: Sequence[str], folder: Path) -> dict[str, float]:
    """Return the latency of each model in milliseconds; samples alternate, so that all models meet the same load."""
    files = {tool: folder / "float.onnx" if tool == "floor" else written(tool, folder) for tool in tools}
    sessions = {
        tool: ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        for tool, path in files.items()
        if path.exists()
    }
    times: dict[str, list[float]] = {tool: [] for tool in sessions}
    for _ in range(63):
        for tool, session in sessions.items():
            shape = [1, *session.get_inputs()[0].shape[1:]]
            feeds = {"input": np.random.default_rng(1).normal(size=shape).astype(np.float32)}
            begun = time.perf_counter()
            session.run(None, feeds)
            times[tool].append(time.perf_counter() - begun)
    return {tool: 1000 * statistics.median(seconds[3:]) for tool, seconds in times.items()}


def written(tool: str, folder: Path) -> Path:
    return folder / f"{tool.replace(', ', '_').replace(' ', '_')}.onnx"


def peak_mb() -> float:
    """Return the peak memory of this process since the reset, in megabytes; getrusage includes the parent's."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def resnet18(rng: np.random.Generator) -> onnx.ModelProto:
    """Return a network with the shapes of ResNet18, BatchNorm folded, and random weights (11.7 million)."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, NDArray[np.float32]] = {}

    def conv(x: str, name: str, c_in: int, c_out: int, kernel: int, stride: int, relu: bool) -> str:
        weights[f"{name}.w"] = (
            rng.normal(size=(c_out, c_in, kernel, kernel)) * (2 / (c_in * kernel**2)) ** 0.5
        ).astype(np.float32)
        weights[f"{name}.b"] = (rng.normal(size=c_out) * 0.1).astype(np.float32)
        inputs = [x, f"{name}.w", f"{name}.b"]
        out = f"{name}.out"
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [out], name=name, strides=[stride] * 2, pads=pads))
        if relu:
            nodes.append(helper.make_node("Relu", [out], [f"{name}.relu"]))
        return f"{name}.relu" if relu else out

    x = conv("input", "stem", 3, 64, 7, 2, True)
    nodes.append(helper.make_node("MaxPool", [x], ["pooled"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    x, width = "pooled", 64
    for stage, c_out in enumerate((64, 128, 256, 512)):
        for block in range(2):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            y = conv(conv(x, f"{name}.1", width, c_out, 3, stride, True), f"{name}.2", c_out, c_out, 3, 1, False)
            short = conv(x, f"{name}.short", width, c_out, 1, stride, False) if stride > 1 else x
            nodes.append(helper.make_node("Add", [y, short], [f"{name}.sum"]))
            nodes.append(helper.make_node("Relu", [f"{name}.sum"], [f"{name}.end"]))
            x, width = f"{name}.end", c_out
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    weights |= {"fc.w": (rng.normal(size=(1000, 512)) * 0.04).astype(np.float32), "fc.b": np.zeros(1000, np.float32)}
    nodes.append(helper.make_node("Gemm", ["flat", "fc.w", "fc.b"], ["logits"], name="fc", transB=1))
    graph = helper.make_graph(
        nodes, "resnet18",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 1000])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def show(model: str, results: dict[str, Any], samples: int) -> None:
    print(f"\n{model}, {samples} samples")
    print(f"{'tool':33} {'seconds':>8} {'x floor':>8} {'peak MB':>8} {'latency ms':>10}")
    base = results["floor"]["seconds"]
    for tool, result in results.items():
        if "failed" in result:
            print(f"{tool:33} failed")
            continue
        ratio = result["seconds"] / base
        print(
            f"{tool:33} {result['seconds']:8.2f} {ratio:8.2f} {result['peak_mb']:8.0f} {result['latency_ms']:10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
