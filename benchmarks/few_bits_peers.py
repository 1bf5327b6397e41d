"""quantd beside other tools with 8-bit and 4-bit weights; writes docs/few_bits_peers.json.

    python -m benchmarks.few_bits_peers [--models resnet8_mlperftiny,...] [--tools "AIMET;Quark;..."] [--images 2000]
    python -m benchmarks.few_bits --page

Models and calibration images are those of `benchmarks/few_bits.py`, with fewer evaluation images. Every tool runs in a
process of its own on one processor. The second command writes the tables to docs/few_bits.md.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks import child, peers
from benchmarks.networks import DATA, kind_of, split
from quant.data.read import read_dataset
from quant.graph.load.onnx_file import load

RESULTS = child.ROOT / "docs" / "few_bits_peers.json"
MODELS = ("resnet8_mlperftiny", "resnet20_cifar10", "vww_mobilenetv1_025", "mobilenetv1_075_imagenet")
OURS = "quantd "
TOOLS = {
    8: (OURS + "int8", "quantize_static MinMax", "AIMET", "Quark"),
    4: (OURS + "int4, feedback", "quantize_static MinMax, 4 bits", "AIMET, 4 bits"),
}
"""The tools by the bits of the weights; those of quantd are specs of `benchmarks/ours.py`."""
INTRODUCTION = f"""## Other tools

Files with 8-bit activations, calibrated on the same images by other tools. A cell has the top-1 accuracy in percent,
the SQNR of the outputs in dB, the size as a fraction of the float file's size, the latency as a fraction of the float
model's, and the processor time of the tool in seconds, for AIMET and Quark with the loading of their libraries. At most
2,000 images evaluate a model. Written by `benchmarks/few_bits_peers.py`. An empty cell was not measured.

`quantize_static` is that of ONNX Runtime, AIMET is {peers.AIMET}, and Quark is {peers.QUARK}.
AIMET rounds 4-bit weights by SeqMSE and AdaRound with {peers.SEARCH_STEPS} steps on {peers.SEARCH_SAMPLES} of the
images; it recommends 15,000. Quark has no column for 4-bit weights, which its quantizer of ONNX files refuses:
"Unexpected data type 22 requested. Only INT8, UINT8, INT16, and UINT16 are supported."
"""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--tools", default=";".join(tool for tools in TOOLS.values() for tool in tools))
    parser.add_argument("--images", type=int, default=2_000)
    arguments = parser.parse_args()
    for name in arguments.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            sets = Path(folder, "calibration.npz"), Path(folder, "evaluation.npz")
            for path, arrays in zip(sets, split(name, None, arguments.images), strict=True):
                np.savez(path, **arrays)
            for tool in arguments.tools.split(";"):
                row = {"model": name, "tool": tool, **measure(name, tool, sets)}
                print(f"{name:26} {tool:32} {cell(row)}", flush=True)
                write(stored() | {(name, tool): row})


def measure(name: str, tool: str, sets: tuple[Path, Path]) -> Row:
    """Quantize one model with a tool, and return the figures of its file or `refused` with the reason."""
    model, folder = DATA / "models" / f"{name}.onnx", sets[0].parent
    out = folder / "quantized.onnx"
    if tool.startswith(OURS):
        return child.run_child("benchmarks.ours", tool.removeprefix(OURS), model, out, 1, *sets)
    samples = folder / "samples.npz"
    if not samples.exists():
        peers.write_samples(samples, read_dataset(sets[0], load(model)).singly().batches())
    try:
        python = peers.python_of(tool)
    except subprocess.CalledProcessError as error:
        return {"refused": f"not installed: {child.reason(error.returncode, error.stderr)}"}
    kind = kind_of(onnx.load(model).graph)
    figures = child.run_child("benchmarks.peers", tool, model, samples, out, kind, python=python)
    if "refused" in figures:
        return figures
    sizes = {"size_ratio": out.stat().st_size / model.stat().st_size}
    return figures | sizes | child.run_child("benchmarks.judge", model, out, sets[1])


def stored() -> dict[tuple[str, str], Row]:
    """Return the measured rows by model and tool."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return {(row["model"], row["tool"]): row for row in rows}


def write(rows: dict[tuple[str, str], Row]) -> None:
    keys = [(name, tool) for tools in TOOLS.values() for tool in tools for name in MODELS]
    lines = ",\n".join(json.dumps(rows[key]) for key in keys if key in rows)
    RESULTS.write_text(f"[\n{lines}\n]\n")


def section() -> list[str]:
    """Return the lines of the tables for docs/few_bits.md."""
    rows, text = stored(), [INTRODUCTION]
    for bits, tools in TOOLS.items():
        text += [
            f"### {bits}-bit weights",
            "",
            f"| model | float | {' | '.join(tools)} |",
            "| --- | ---: |" + " ---: |" * len(tools),
        ]
        for name in MODELS:
            cells = [cell(rows.get((name, tool))) for tool in tools]
            floats = [
                row["metric_float"] for (model, _), row in rows.items() if model == name and "metric_float" in row
            ]
            before = f"{100 * floats[0]:.2f}" if floats else ""
            text.append(f"| {name} | {before} | {' | '.join(cells)} |")
        text.append("")
    return text


def cell(row: Row | None) -> str:
    if row is None:
        return ""
    if "refused" in row:
        return f"fails: {row['refused']}"
    return (f"{100 * row['metric_value']:.2f}, {row['sqnr_db']:.1f} dB, {row['size_ratio']:.3f}, "
            f"{row['latency_ratio']:.2f}, {row['seconds']:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
